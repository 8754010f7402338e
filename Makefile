# The commands of a day's work; each target is safe to repeat.
.PHONY: demo test chaos lint audit fuzz bench-launcher
SHELL := /bin/bash

# Bounds the whole of `cargo test`, builds included; a test that hangs must not hold CI.
TEST_SECONDS ?= 2400

# How long `fuzz` looks for what breaks each of the properties, and which: all of them.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

# A cluster of three workers renders a picture and loses one of them half way.
demo:
	deploy/setup
	deploy/local-images busybox
	cargo build --release --locked -p longshore -p longshore-worker
	deploy/demo

test:
	deploy/setup --tests
	deploy/local-images busybox python
	timeout --kill-after=30 $(TEST_SECONDS) cargo test --workspace --locked --no-fail-fast

# A fleet under load and under faults, for CHAOS_SECONDS; CHAOS_SEED repeats a schedule.
chaos: export CHAOS_SECONDS ?= 600
chaos:
	deploy/setup --tests
	cargo test --workspace --locked --test chaos -- --nocapture

# What the launcher adds to a container's life. Docker's time is measured, not this build's, so any will do.
bench-launcher:
	deploy/local-images busybox
	cargo bench --workspace --locked --profile dev --bench launcher

lint: cargo-deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo deny --workspace check bans licenses sources

# Needs the advisory database, and so the network.
audit: cargo-deny
	cargo deny --workspace check advisories

# Needs a nightly compiler, for the sanitizers.
fuzz: cargo-fuzz
	@for target in $(FUZZ_TARGETS); do fuzz/run $$target $(FUZZ_SECONDS) || exit 1; done

# Not optimised: building them takes far longer than they will ever run.
.PHONY: cargo-deny
cargo-deny:
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked --debug cargo-deny

.PHONY: cargo-fuzz
cargo-fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --debug cargo-fuzz
