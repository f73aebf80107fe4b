# The image of the server, and of the operator: one static binary on nothing.
#
#   docker build -t mai-production:latest .
#
# Builds for amd64 and arm64, with BuildKit and with the classic builder. Where no registry is to be reached, name a local image with Rust
# 1.95 in BUILDER_IMAGE, or pack a binary that is there already (see docs/docker.md):
#
#   image/rootfs target/x86_64-unknown-linux-gnu/release/mai > rootfs.tar
#   docker build -t mai-production:latest --target from-binary --build-arg ROOTFS=rootfs.tar .
ARG BUILDER_IMAGE=rust:1.95-bookworm

# What every image says about itself, whatever its binary was built by.
FROM scratch AS settings
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="mAI" \
      org.opencontainers.image.description="One private AI assistant per client company, declared in YAML" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Data belongs into /app/backend/data, backups into /app/backups. No VOLUME is declared: it would leave nameless volumes behind.
# With a read-only root, /tmp has to be a tmpfs.
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["mai", "health"]
ENTRYPOINT ["/usr/local/bin/mai"]
CMD ["serve"]

# A binary that is there already. The classic builder passes through here on its way to the last stage, where LICENSE does no harm.
FROM settings AS from-binary
ARG ROOTFS=LICENSE
ADD ${ROOTFS} /

FROM ${BUILDER_IMAGE} AS compiled
ARG TARGETARCH
# CA certificates, as the builder has them.
ARG CERTS=/etc/ssl/certs/ca-certificates.crt
WORKDIR /src
# Named even though it is the machine's own: with a target, only what runs in the image is linked statically, not what runs in the compiler.
# Compiled in one piece and optimised once more when it is linked, which takes twice as long and comes out a sixth smaller.
RUN case "${TARGETARCH:-$(uname -m)}" in \
      amd64|x86_64) machine=x86_64 ;; \
      arm64|aarch64) machine=aarch64 ;; \
      *) echo "there is no image for ${TARGETARCH:-$(uname -m)}; amd64 and arm64 can be built" >&2; exit 1 ;; \
    esac \
    && mkdir .cargo \
    && printf '%s\n' '[build]' "target = \"$machine-unknown-linux-gnu\"" 'target-dir = "/target"' \
      'rustflags = ["-C", "target-feature=+crt-static"]' '[profile.release]' 'lto = "fat"' '[profile.release.package.mai-operator]' 'codegen-units = 1' > .cargo/config.toml

# The dependencies have a layer of their own, which stays until Cargo.lock changes.
COPY Cargo.toml Cargo.lock build.rs ./
COPY bench/Cargo.toml bench/
COPY src/backup/Cargo.toml src/backup/
COPY src/contract/Cargo.toml src/contract/
COPY src/listener/Cargo.toml src/listener/
COPY src/openrouter/Cargo.toml src/openrouter/
COPY src/ownership/Cargo.toml src/ownership/
COPY src/server/Cargo.toml src/server/
RUN mkdir -p bench/src \
    && for library in src src/backup src/contract src/listener src/openrouter src/ownership src/server; do echo '//! Nothing yet.' > "$library/lib.rs"; done \
    && printf '//! Nothing yet.\nfn main() {}\n' | tee src/main.rs > bench/src/main.rs \
    && cargo build --release --locked --bin mai

COPY src src
COPY image image
RUN touch src/lib.rs src/main.rs src/*/lib.rs \
    && cargo build --release --locked --bin mai \
    && mkdir /rootfs \
    && image/rootfs /target/*/release/mai "$CERTS" | tar -x -C /rootfs \
    && mv /rootfs/app /app

FROM settings
COPY --from=compiled /rootfs/ /
COPY --from=compiled --chown=65532:65532 /app/ /app/
