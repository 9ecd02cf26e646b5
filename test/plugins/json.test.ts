import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { buildEdge, listenEdge, problem, talk } from '../helper-edge.ts'

const json = 'application/json'
const post = (app: FastifyInstance, payload: string | Buffer, type: string | undefined = json, headers: Record<string, string> = {}) =>
  app.inject({ method: 'POST', url: '/echo', payload, headers: { ...(type ? { 'content-type': type } : {}), ...headers } })

/** An app without limits on requests, and a check that a body is refused as a whole document with one line. */
async function buildRefusing (t: Test) {
  const { app, lines } = await buildEdge(t, { RATE_LIMIT_PER_MINUTE: '0' })
  async function refuses (payload: string | Buffer, detail: string, type = json) {
    lines.length = 0
    const response = await post(app, payload, type)
    t.strictSame(response.json(), problem(response, 400, 'Bad Request', 'invalid-body', detail), payload.toString().slice(0, 60))
    t.equal(response.statusCode, 400)
    t.equal(lines.length, 1)
  }
  return { app, lines, refuses }
}

t.test('any value that JSON can write arrives as it was', async (t) => {
  const { app } = await buildRefusing(t)
  const value = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' }).filter((one) => {
    const text = JSON.stringify(one)
    return !text.includes('__proto__') && !text.includes('"constructor"') && !text.includes('\\u0000') && Buffer.byteLength(text) < 16_000
  })
  await fc.assert(fc.asyncProperty(value, async (sent) => {
    const response = await post(app, JSON.stringify(sent))
    return response.statusCode === 200 && JSON.stringify(response.json().body) === JSON.stringify(sent)
  }), { numRuns: 200 })
  t.pass()
})

t.test('only application/json is taken', async (t) => {
  const { app, lines } = await buildRefusing(t)
  const types = ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', 'text/json', 'application/webhook+json', 'application/json, text/plain', 'json', '*/*', undefined]
  for (const type of types) {
    lines.length = 0
    const response = type ? await post(app, '{}', type) : await app.inject({ method: 'POST', url: '/echo', payload: Buffer.from('{}') })
    t.strictSame(response.json(), problem(response, 415, 'Unsupported Media Type', 'unsupported-media-type', 'The body is of a type that is not accepted here.'), String(type))
    t.equal(lines.length, 1)
  }
  for (const type of ['application/json', 'Application/JSON', 'application/json;charset=utf-8', 'application/json; charset="UTF-8"', 'application/json; x=y']) {
    t.strictSame((await post(app, '{"a":1}', type)).json(), { body: { a: 1 } }, type)
  }
})

t.test('another charset than UTF-8 is refused', async (t) => {
  const { refuses } = await buildRefusing(t)
  for (const charset of ['utf-16', 'UTF-16LE', 'latin1', '"iso-8859-1"', 'utf8', 'utf-7', '']) {
    await refuses('{}', 'The body must be in UTF-8.', `application/json; charset=${charset}`)
  }
  await refuses('{}', 'The body must be in UTF-8.', 'application/json; a=b ; CharSet = utf-16')
})

t.test('a compressed body is refused', async (t) => {
  const { app } = await buildRefusing(t)
  const response = await post(app, gzipSync('{}'), json, { 'content-encoding': 'gzip' })
  t.strictSame(response.json(), problem(response, 415, 'Unsupported Media Type', 'unsupported-content-encoding', 'The body must not be compressed.'))
})

t.test('bytes that are not UTF-8 are refused, not replaced', async (t) => {
  const { app, refuses } = await buildRefusing(t)
  for (const bytes of [[0xFF], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82]]) {
    await refuses(Buffer.from([0x22, ...bytes, 0x22]), 'The body is not valid UTF-8.')
  }
  await fc.assert(fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 6 }), async (bytes) => {
    const text = Buffer.from(bytes).toString()
    const valid = !text.includes('\uFFFD') && !/["\\]/.test(text) && [...text].every((char) => char >= ' ')
    const response = await post(app, Buffer.from([0x22, ...bytes, 0x22]))
    return valid ? response.json().body === text : response.statusCode === 400 || text.includes('\uFFFD') || text.includes('\\')
  }), { numRuns: 200 })
  await refuses(Buffer.from('\uFEFF{}'), 'The body must not start with a byte order mark.')
  await refuses(Buffer.from('{}', 'utf16le'), 'The body is not valid JSON.')
})

t.test('what is not JSON is refused', async (t) => {
  const { refuses } = await buildRefusing(t)
  for (const text of ['{', '{"a":}', "{'a':1}", '{a:1}', '[1,]', 'NaN', 'undefined', '{} {}', '// hi\n{}', '"\t"', '01', ' ', '\u00a0{}', `{"agent_type":"workout"${' '.repeat(200)}`]) {
    await refuses(text, 'The body is not valid JSON.')
  }
})

t.test('names that reach a prototype are refused, spelled in any way', async (t) => {
  const { app, refuses } = await buildRefusing(t)
  const names = ['__proto__', '\\u005f_proto__', '__\\u0070roto__']
  for (const name of names) {
    await refuses(`{"${name}":{"admin":true}}`, 'The body is not valid JSON.')
    await refuses(`{"a":[{"${name}":null}]}`, 'The body is not valid JSON.')
  }
  for (const name of ['constructor', '\\u0063onstructor']) await refuses(`{"${name}":{"prototype":{"admin":true}}}`, 'The body is not valid JSON.')
  t.equal(({} as { admin?: boolean }).admin, undefined)
  t.strictSame((await post(app, '{"constructor":"a word"}')).json(), { body: { constructor: 'a word' } })
})

t.test('NUL and halves of surrogate pairs are refused wherever they stand, all else is not', async (t) => {
  const { app, refuses } = await buildRefusing(t)
  const detail = 'The body holds a character that is not allowed.'
  for (const escape of ['\\u0000', '\\ud800', '\\uDfFf', '\\udc00\\ud800', 'a\\ud83dz']) {
    for (const body of [`"${escape}"`, `{"a":"${escape}"}`, `{"${escape}":1}`, `[[{"a":["${escape}"]}]]`]) await refuses(body, detail)
  }
  const unit = fc.oneof(fc.integer({ min: 0, max: 0xFFFF }), fc.integer({ min: 0xD7F0, max: 0xE010 }), fc.constant(0))
  await fc.assert(fc.asyncProperty(fc.array(unit, { maxLength: 6 }), async (units) => {
    const escaped = units.map((one) => `\\u${one.toString(16).padStart(4, '0')}`).join('')
    const text = String.fromCharCode(...units)
    const response = await post(app, `{"text":"${escaped}"}`)
    return text.isWellFormed() && !text.includes('\0') ? response.json().body.text === text : response.statusCode === 400
  }), { numRuns: 300 })
})

t.test('nesting is bounded at 16 levels', async (t) => {
  const { app, refuses } = await buildRefusing(t)
  const nested = (levels: number, [open, close]: [string, string]) => `${open.repeat(levels)}1${close.repeat(levels)}`
  for (const kind of [['[', ']'], ['{"a":', '}'], ['[{"a":', '}]']] as Array<[string, string]>) {
    const fits = 16 / (kind[0].match(/[[{]/g)!.length)
    t.equal((await post(app, nested(fits, kind))).statusCode, 200)
    await refuses(nested(fits + 1, kind), 'The body is nested deeper than 16 levels.')
    await refuses(nested(1500, kind), 'The body is nested deeper than 16 levels.')
  }
})

t.test('a body of 16 KiB is taken, one byte more is not, however it is sent', async (t) => {
  const { app, lines } = await listenEdge(t)
  const body = (size: number) => JSON.stringify('a'.repeat(size - 2))
  t.equal((await post(app, body(16_384))).statusCode, 200)

  const head = `POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: ${json}\r\n`
  const chunked = (size: number) => `${head}Transfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${body(size)}\r\n0\r\n\r\n`
  for (const bytes of [`${head}Content-Length: 16385\r\n\r\n${body(16_385)}`, `${head}Content-Length: 100000000000\r\n\r\n`, chunked(16_385), chunked(500_000)]) {
    lines.length = 0
    const [response, ...more] = await talk(app, bytes)
    t.equal(more.length, 0)
    t.equal(response!.headers.connection, 'close')
    t.strictSame(response!.json(), problem(response!, 413, 'Payload Too Large', 'payload-too-large', 'The request is too large.'))
    t.equal(lines.length, 1)
  }
})

t.test('many keys cost little', async (t) => {
  const { app } = await buildRefusing(t)
  const body = JSON.stringify(Object.fromEntries(Array.from({ length: 1500 }, (_, at) => [`k${at}`, at])))
  const before = performance.now()
  for (let round = 0; round < 20; round++) await post(app, body)
  t.ok((performance.now() - before) / 20 < 50, 'well under 50 ms each')
})

t.test('no body is no value, with and without a type', async (t) => {
  const { app } = await buildRefusing(t)
  for (const headers of [{}, { 'content-type': json }, { 'content-length': '0' }, { 'content-type': json, 'content-length': '0' }]) {
    const response = await app.inject({ method: 'POST', url: '/echo', headers })
    t.strictSame(response.json(), { body: null })
  }
})
