//! `get`: objects as a table, as JSON or YAML, or by name; once or watched.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use futures::{AsyncBufReadExt, StreamExt};
use http::Method;
use longshore_api::Resource;
use longshore_support::exit;
use serde_json::{Value, json};

use super::error::CliError;
use super::names::{self, Target, shown};
use super::session::{Content, Session, collection, object};
use super::table::{self, Printer, Style, Table};

const PAGE: &str = "500";

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// jobs, pods, nodes or events, and names; or TYPE/NAME
    #[arg(required = true, value_name = "TYPE [NAME]")]
    what: Vec<String>,
    /// In all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels, such as app=x
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Only objects with these fields, such as status.phase=Failed
    #[arg(long, value_name = "FIELDS")]
    field_selector: Option<String>,
    /// How to print
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    /// Go on and print what changes
    #[arg(short, long)]
    watch: bool,
    /// Leave out the table's header
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Wide,
    Json,
    Yaml,
    Name,
}

pub(super) async fn get(session: &Session, args: &GetArgs) -> Result<u8, CliError> {
    let targets = names::parse(&args.what)?;
    let named = targets.iter().any(|target| !target.names.is_empty());
    if named && (args.selector.is_some() || args.field_selector.is_some()) {
        return Err(CliError::Usage("a name and a selector can't be given together".to_owned()));
    }
    if named && args.all_namespaces {
        return Err(CliError::Usage(
            "a resource cannot be retrieved by name across all namespaces".to_owned(),
        ));
    }
    let get = Get { session, args };
    if args.watch {
        return match targets.as_slice() {
            [target] if target.names.len() <= 1 => get.watch(target).await,
            _ => Err(CliError::Usage(
                "you may only specify a single resource type, and one name, with --watch"
                    .to_owned(),
            )),
        };
    }
    match args.output {
        None | Some(Output::Wide) => get.tables(&targets).await,
        Some(output) => get.objects(&targets, output).await,
    }
}

struct Get<'a> {
    session: &'a Session,
    args: &'a GetArgs,
}

impl Get<'_> {
    fn path(&self, resource: Resource) -> String {
        let namespace = Some(self.session.namespace.as_str());
        collection(resource, namespace.filter(|_| !self.args.all_namespaces))
    }

    fn selectors(&self) -> Vec<(&str, &str)> {
        let labels = self.args.selector.as_deref().map(|text| ("labelSelector", text));
        let fields = self.args.field_selector.as_deref().map(|text| ("fieldSelector", text));
        labels.into_iter().chain(fields).collect()
    }

    fn style(&self, resource: Resource, several: bool) -> Style {
        Style {
            wide: self.args.output == Some(Output::Wide),
            namespaces: self.args.all_namespaces && resource.namespaced(),
            no_headers: self.args.no_headers,
            kind: several.then_some(prefix(resource)),
        }
    }

    async fn tables(&self, targets: &[Target]) -> Result<u8, CliError> {
        let mut out = io::stdout().lock();
        let mut printed = false;
        let mut failed = false;
        for target in targets {
            let mut printer = Printer::new(self.style(target.resource, targets.len() > 1));
            for table in self.pages(target, &mut failed).await? {
                if table.rows.is_empty() {
                    continue;
                }
                if printed && !printer.begun() {
                    writeln!(out)?;
                }
                printer.print(&table, &mut out)?;
                printed = true;
            }
        }
        out.flush()?;
        if !printed && !failed {
            self.tell_none(targets);
        }
        if failed { Err(CliError::Told) } else { Ok(exit::DONE) }
    }

    /// The tables of a target; a name that isn't there is told, and is a failure.
    async fn pages(&self, target: &Target, failed: &mut bool) -> Result<Vec<Table>, CliError> {
        let mut tables = Vec::new();
        for name in &target.names {
            let path = object(target.resource, &self.session.namespace, name);
            match self.table(&path, &[]).await {
                Ok(table) => tables.push(table),
                Err(error @ CliError::Refused(_)) => {
                    error.tell();
                    *failed = true;
                }
                Err(error) => return Err(error),
            }
        }
        if !target.names.is_empty() {
            // One table, so that its columns are as wide as the widest of all.
            return Ok(tables.into_iter().reduce(Table::join).into_iter().collect());
        }
        let path = self.path(target.resource);
        let mut next = String::new();
        loop {
            let mut query = self.selectors();
            query.push(("limit", PAGE));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let table = self.table(&path, &query).await?;
            next = table.metadata.next.clone();
            tables.push(table);
            if next.is_empty() {
                return Ok(tables);
            }
        }
    }

    async fn table(&self, path: &str, query: &[(&str, &str)]) -> Result<Table, CliError> {
        let value =
            self.session.request_as(Method::GET, path, query, Content::None, table::ACCEPT).await?;
        serde_json::from_value(value)
            .map_err(|error| CliError::Failed(format!("the server's table can't be read: {error}")))
    }

    fn tell_none(&self, targets: &[Target]) {
        let namespaced = targets.iter().any(|target| target.resource.namespaced());
        if self.args.all_namespaces || !namespaced {
            eprintln!("No resources found");
        } else {
            eprintln!("No resources found in {} namespace.", self.session.namespace);
        }
    }

    async fn objects(&self, targets: &[Target], output: Output) -> Result<u8, CliError> {
        let mut items = Vec::new();
        let mut failed = false;
        for target in targets {
            for name in &target.names {
                let path = object(target.resource, &self.session.namespace, name);
                match self.session.get(&path, &[]).await {
                    Ok(item) => items.push(item),
                    Err(error @ CliError::Refused(_)) => {
                        error.tell();
                        failed = true;
                    }
                    Err(error) => return Err(error),
                }
            }
            if target.names.is_empty() {
                items.extend(self.list(target.resource).await?);
            }
        }
        let single = targets.len() == 1 && targets[0].names.len() == 1;
        let mut out = io::stdout().lock();
        if output == Output::Name {
            for item in &items {
                writeln!(out, "{}", name_of(item))?;
            }
        } else if let (true, Some(item)) = (single, items.first()) {
            print_object(&mut out, item, output)?;
        } else if !single {
            let list = json!({
                "apiVersion": "v1",
                "items": items,
                "kind": "List",
                "metadata": { "resourceVersion": "" },
            });
            print_object(&mut out, &list, output)?;
        }
        out.flush()?;
        if failed { Err(CliError::Told) } else { Ok(exit::DONE) }
    }

    async fn list(&self, resource: Resource) -> Result<Vec<Value>, CliError> {
        let path = self.path(resource);
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = self.selectors();
            query.push(("limit", PAGE));
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let mut page = self.session.get(&path, &query).await?;
            if let Value::Array(of_page) = page["items"].take() {
                items.extend(of_page.into_iter().map(|item| with_kind(item, resource)));
            }
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(items);
            }
        }
    }

    /// What is there, then each change, until the server or the user ends it.
    async fn watch(&self, target: &Target) -> Result<u8, CliError> {
        let path = self.path(target.resource);
        let as_table = matches!(self.args.output, None | Some(Output::Wide));
        let accept = if as_table { table::ACCEPT } else { "application/json" };
        let by_name = target.names.first().map(|name| format!("metadata.name={name}"));
        let mut query = self.selectors();
        query.extend(by_name.as_deref().map(|field| ("fieldSelector", field)));
        if let Some(name) = target.names.first() {
            // A name that isn't there is an error, as in kubectl.
            self.session.get(&object(target.resource, &self.session.namespace, name), &[]).await?;
        }

        let list =
            self.session.request_as(Method::GET, &path, &query, Content::None, accept).await?;
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        let mut printer = Printer::new(self.style(target.resource, false));
        let mut out = io::stdout();
        if as_table {
            print_table(&mut printer, list, &mut out)?;
        } else if let Value::Array(items) = list["items"].clone() {
            for item in items {
                self.print_change(with_kind(item, target.resource), &mut out)?;
            }
        }

        query.extend([("watch", "true"), ("resourceVersion", version.as_str())]);
        let mut lines = self.session.stream(&path, &query, accept).await?.lines();
        while let Some(line) = lines.next().await {
            let mut event: Value = serde_json::from_str(&line?).map_err(io::Error::other)?;
            let object = event["object"].take();
            match event["type"].as_str() {
                Some("ERROR") => {
                    let message = object["message"].as_str().unwrap_or("the watch failed");
                    return Err(CliError::Failed(message.to_owned()));
                }
                Some("BOOKMARK") => {}
                _ if as_table => print_table(&mut printer, object, &mut out)?,
                _ => self.print_change(object, &mut out)?,
            }
        }
        Ok(exit::DONE)
    }

    fn print_change(&self, object: Value, out: &mut dyn Write) -> Result<(), CliError> {
        match self.args.output {
            Some(Output::Name) => writeln!(out, "{}", name_of(&object))?,
            Some(Output::Yaml) => {
                writeln!(out, "---")?;
                print_object(out, &object, Output::Yaml)?;
            }
            _ => print_object(out, &object, Output::Json)?,
        }
        Ok(out.flush()?)
    }
}

fn print_table(printer: &mut Printer, value: Value, out: &mut dyn Write) -> Result<(), CliError> {
    let table: Table = serde_json::from_value(value).map_err(io::Error::other)?;
    // The columns may come with a table that has no rows yet.
    if table.rows.is_empty() {
        printer.learn(&table);
        return Ok(());
    }
    printer.print(&table, out)?;
    Ok(out.flush()?)
}

fn print_object(out: &mut dyn Write, object: &Value, output: Output) -> Result<(), CliError> {
    let text = match output {
        Output::Yaml => serde_yaml_ng::to_string(object).map_err(io::Error::other)?,
        _ => indented(object)?,
    };
    Ok(writeln!(out, "{}", text.trim_end())?)
}

/// JSON with four spaces, as kubectl prints it.
fn indented(object: &Value) -> io::Result<String> {
    use serde::Serialize;
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    object.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The items of a list leave out what the list says; alone they need it.
fn with_kind(item: Value, resource: Resource) -> Value {
    let mut object = json!({ "apiVersion": resource.api_version(), "kind": resource.kind() });
    if let (Value::Object(into), Value::Object(item)) = (&mut object, item) {
        into.extend(item);
    }
    object
}

fn name_of(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or_default();
    let resource = Resource::ALL.into_iter().find(|resource| resource.kind() == kind);
    resource.map_or_else(|| name.to_owned(), |resource| shown(resource, name))
}

fn prefix(resource: Resource) -> &'static str {
    match resource {
        Resource::Jobs => "job.batch/",
        Resource::Pods => "pod/",
        Resource::Nodes => "node/",
        Resource::Events => "event/",
        Resource::Namespaces => "namespace/",
        Resource::ConfigMaps => "configmap/",
        Resource::Secrets => "secret/",
    }
}
