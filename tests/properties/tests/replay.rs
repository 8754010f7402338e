//! What the fuzzers have kept, held against the properties again.

use std::path::Path;

#[test]
fn what_the_fuzzers_kept_still_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, property) in longshore_properties::ALL {
        let folder = corpus.join(name);
        let mut files = 0;
        for entry in folder.read_dir().expect("a folder for each property") {
            let path = entry.expect("an entry").path();
            // Printed with the failure, if there is one.
            println!("{}", path.display());
            property(&std::fs::read(&path).expect("a file"));
            files += 1;
        }
        assert!(files > 0, "{} is empty", folder.display());
    }
}
