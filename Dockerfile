# syntax=docker/dockerfile:1
# Two stages: one that builds, one that holds the binary, the system's certificate roots and nothing to build with.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/hookgate /hookgate

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin hookgate \
 && install -d -o hookgate -g hookgate -m 0750 /data && install -d -m 0755 /etc/hookgate
COPY --from=build /hookgate /usr/local/bin/hookgate
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/hookgate/
USER 10001:10001
WORKDIR /data
# Everything the gateway keeps. Without a volume here an acknowledged event lives as long as the container.
VOLUME /data
# Probes and metrics for the orchestrator, without a token and without payloads; the API stays on the loopback of the container.
ENV HOOKGATE_DATA_DIR=/data HOOKGATE__MONITOR__LISTEN=0.0.0.0:9481
EXPOSE 8080 9481
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["hookgate", "health"]
ENTRYPOINT ["hookgate"]
CMD ["run", "-c", "/etc/hookgate/hookgate.yaml"]
