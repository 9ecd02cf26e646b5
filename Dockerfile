# The image of the service: built code and production dependencies, nothing else.
# It has no database of its own (embedded-postgres is an optional dependency): it refuses to start without DATABASE_URL.

FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY plugins plugins
COPY routes routes
RUN npm run build

FROM node:24.21.0-bookworm-slim AS web
WORKDIR /app/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --ignore-scripts
COPY web/talk.html web/console.html web/vite.config.ts ./
COPY web/public public
COPY web/src src
RUN npm run build

FROM node:24.21.0-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24.21.0-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
# The pages, for WEB_UI=on.
COPY --from=web /app/web/dist web/dist
COPY package.json LICENSE ./
# The image's user node, by number: Kubernetes' runAsNonRoot asks for one.
USER 1000
EXPOSE 3000
# Liveness, not readiness: an outage of LiveKit or of the database is no reason to restart the service.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/src/server.js"]
