// The pages as files: there when WEB_UI is on, small, kept by browsers, under a policy without exceptions; not there when it is off.
import { access, mkdir, rm, writeFile } from 'node:fs/promises'
import { brotliDecompressSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { appFor, databaseFor, environment, problem, sameProblem } from './helper.ts'

const folder = fileURLToPath(new URL('../web/dist/', import.meta.url))
const databaseUrl = await databaseFor(t)
const livekit = { url: 'ws://127.0.0.1:7880', apiKey: 'none', apiSecret: '7f2c19d0b8e64a35910cd7e2f6a8b34c' }
const env = (more: NodeJS.ProcessEnv) => environment(livekit, databaseUrl, more)

// What `npm run build:web` makes; a stand-in where it has not been run: what is in the pages is tested in a browser.
if (!await access(`${folder}talk.html`).then(() => true, () => false)) {
  t.teardown(() => rm(folder, { recursive: true }))
  await mkdir(`${folder}assets`, { recursive: true })
  for (const page of ['talk', 'console']) await writeFile(`${folder}${page}.html`, `<!doctype html><script type="module" src="/web/assets/${page}-1.js"></script>`)
  for (const page of ['talk', 'console']) await writeFile(`${folder}assets/${page}-1.js`, `console.log('${page}')`.repeat(100))
}

t.test('a page and what it loads', async (t) => {
  const app = await appFor(t, env({ WEB_UI: 'on', LIVEKIT_URL: 'wss://a.livekit.cloud' }))
  for (const path of ['/talk', '/console']) {
    const page = await app.inject({ url: path })
    t.match([page.statusCode, page.headers['content-type'], page.headers['cache-control']], [200, 'text/html; charset=utf-8', 'no-cache'])
    t.equal(page.headers['content-security-policy'], "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; connect-src 'self' wss://a.livekit.cloud https://a.livekit.cloud wss://*.livekit.cloud https://*.livekit.cloud; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    const [, script] = /src="(\/web\/assets\/[^"]+\.js)"/.exec(page.body) ?? []
    const plain = await app.inject({ url: script })
    const small = await app.inject({ url: script, headers: { 'accept-encoding': 'gzip, deflate, br' } })
    t.match([plain.statusCode, plain.headers['content-type'], plain.headers['cache-control'], plain.headers['content-encoding']], [200, 'text/javascript; charset=utf-8', 'public, max-age=31536000, immutable', undefined])
    t.match([small.headers['content-encoding'], small.headers.vary], ['br', 'accept-encoding'])
    t.ok(small.rawPayload.length < plain.rawPayload.length / 2)
    t.same(brotliDecompressSync(small.rawPayload), plain.rawPayload)
  }
  for (const odd of ['/web/', '/web/assets', '/web/../package.json', '/web/%2e%2e/package.json', '/web/assets/none.js']) {
    sameProblem(t, await app.inject({ url: odd }), problem(404, 'Not Found', 'not-found', 'There is nothing at this address.'))
  }
})

t.test('not there unless it is asked for', async (t) => {
  const app = await appFor(t, env({}))
  for (const path of ['/talk', '/console', '/web/icon.svg']) t.equal((await app.inject({ url: path })).statusCode, 404, path)
})
