# One image for the five services and for the tools (migrate, dead-letters). SERVICE selects:
#   docker run -e SERVICE=orders …        a service
#   docker run … bun scripts/migrate.ts up    a tool
ARG BUN_VERSION=1.4.5

# --- what production needs of node_modules, from the lockfile as it is ------------------------------
FROM oven/bun:${BUN_VERSION}-slim AS dependencies
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
# No install script is run: none of these packages needs one.
RUN bun install --frozen-lockfile --production --ignore-scripts

# --- the image: no compiler, no build step, as Bun runs TypeScript itself ---------------------------
FROM oven/bun:${BUN_VERSION}-slim AS runtime
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json bunfig.toml tsconfig.json ./
COPY migrations ./migrations
COPY scripts/migrate.ts scripts/dead-letters.ts scripts/orders.ts ./scripts/
COPY scripts/shared/command-line.ts scripts/shared/interruption.ts ./scripts/shared/
COPY lib ./lib
COPY services ./services

# HOST: in a container, loopback would be reachable by nobody. The transpiler's cache would want a
# writable folder; the root file system may be read-only.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    SERVICE=gateway \
    BUN_RUNTIME_TRANSPILER_CACHE_PATH=0

# The ordinary user that the base image has (`bun`), by number, so that an orchestrator can tell. It owns no file here, so it cannot change any.
USER 1000

# The contract's ports. PORT moves the one that a container listens on.
# generated: ports
EXPOSE 8080 8081 8082 8083 8084
# end: ports

# A service stops on SIGTERM within 8 s, with what it has in hand finished and its spans sent.
STOPSIGNAL SIGTERM

# Whether the process lives. It says nothing of what the service needs: a database that is away is no
# reason to restart this container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
  CMD ["bun", "-e", "const { SERVICES } = await import('./lib/service/services.ts'); const port = process.env.PORT || SERVICES[process.env.SERVICE].port; process.exit((await fetch(`http://127.0.0.1:${port}/healthz`)).ok ? 0 : 1)"]

# exec: Bun takes the shell's place, and gets the signals.
ENTRYPOINT []
CMD ["sh", "-c", "exec bun \"services/${SERVICE}/index.ts\""]

ARG VERSION=local
ARG REVISION=unknown
LABEL org.opencontainers.image.title="OrderFlow" \
      org.opencontainers.image.description="Five Bun services, one Kafka topic, one trace, instrumented by hand." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/oven/bun:1.4.5-slim"
