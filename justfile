# The verbs of the project; `just` lists them.

default:
    @just --list

# the quickstart: three clients from a directory
run:
    cargo run --release -- compose compose-mode/quickstart

# every test
test:
    ./test

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# generated files: the CRDs, and what the chart and kustomize hold of them
generate:
    UPDATE=1 cargo test --test it crds_are_generated
    cargo build
    UPDATE=1 tests/chart/run target/debug/mai

# the Helm chart alone
chart:
    cargo build
    tests/chart/run target/debug/mai

bench:
    bench/run

# the browser test alone
e2e:
    cargo build
    e2e/run target/debug/mai

# the image; BUILDER_IMAGE names another one with Rust
image:
    docker build -t mai-production:latest .

# a Kubernetes to try things out on: just cluster up, just cluster kubectl get pods, just cluster down
cluster *arguments:
    tests/cluster/packages
    "$(tests/cluster/build)" {{arguments}}
