# The image holds the compiled binary and nothing else of ours; the local emulator is left out.
# The binary runs on a read-only root, as any user, without a shell and without /tmp.
FROM --platform=linux/amd64 node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
RUN scripts/build --container

# libc, libm, libpthread, libdl and the loader are all that it needs (test/binary proves it); root certificates are inside.
FROM --platform=linux/amd64 gcr.io/distroless/base-nossl-debian12:nonroot
COPY --from=build /build/dist/agent-container /agent
# Bun lets 256 requests be in flight per process and makes the next ones wait without a word. The agent keeps bounds of its
# own, so this one must never be met; from inside the program it would be too late to set it.
ENV BUN_CONFIG_MAX_HTTP_REQUESTS=4096
USER 65532:65532
ENTRYPOINT ["/agent"]
