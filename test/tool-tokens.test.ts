// Tokens with which tools act for a user: asked for by the session's agent alone, for one tool server, verified by the published key, on record.
import { createPublicKey, verify } from 'node:crypto'
import t from 'tap'
import { appFor, claimsOf, databaseFor, environment, livekitFor, movableClock, notFound, problem, queryFor, sameProblem } from './helper.ts'

const livekit = await livekitFor(t)
const databaseUrl = await databaseFor(t)
const clock = movableClock()
const oldKey = 'XgwbjzetkkZvENizyV56JBgM9uKdc7Rath6A10Msn1o='
const newKey = 'yKHwTnuS02UOi0fPEtWaY3TrCNH2kjylsNceb0gpXDs='
const given = { VOICE_AGENT_NAME: '', TOOL_TOKEN_KEYS: oldKey }
const app = await appFor(t, environment(livekit, databaseUrl, given), clock)
const query = await queryFor(t, databaseUrl)
const noToken = problem(401, 'Unauthorized', 'agent-token-invalid', 'A valid token of the session\'s agent is required.')

async function conversation (user: string) {
  const { room_name: room } = (await app.as(user).start({ agent_type: 'diet' })).json()
  const [session] = await query('select * from sessions where room_name = $1', [room])
  return { id: session.id as string, room: room as string, agentToken: app.agentTokens.issue(session) }
}

const ask = (id: string, token: string | undefined, payload: object = { audience: 'tracker' }, on = app) =>
  on.inject({ method: 'POST', url: `/api/v1/agent/sessions/${id}/tool-token`, headers: token ? { authorization: `Bearer ${token}` } : {}, payload })

t.test('a token for one tool server, which the published key verifies, and which is on record', async (t) => {
  const { id, agentToken } = await conversation('alice')
  const response = await ask(id, agentToken)
  t.equal(response.statusCode, 200)
  const { token, expires_at: expiresAt } = response.json()
  const { iat, exp, jti, ...claims } = claimsOf(token)
  t.same(claims, { iss: 'livekit-sessions', sub: 'alice', aud: 'tracker', sid: id, mode: 'voice', agent_type: 'diet' })
  t.equal(exp - iat, 300)
  t.equal(expiresAt, new Date(exp * 1000).toISOString())

  const jwks = await app.inject({ url: '/api/v1/agent/jwks.json' })
  t.equal(jwks.headers['cache-control'], 'public, max-age=300')
  const [key, ...others] = jwks.json().keys
  t.same(others, [])
  t.match(key, { kty: 'OKP', crv: 'Ed25519', kid: 'af397552', alg: 'EdDSA', use: 'sig' })
  t.same(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x'], 'nothing of the private key')
  const [header, body, signature] = token.split('.')
  t.same(JSON.parse(Buffer.from(header, 'base64url').toString()), { alg: 'EdDSA', typ: 'JWT', kid: 'af397552' })
  const publicKey = createPublicKey({ key, format: 'jwk' })
  t.ok(verify(null, Buffer.from(`${header}.${body}`), publicKey, Buffer.from(signature, 'base64url')))
  t.notOk(verify(null, Buffer.from(`${header}.${body}x`), publicKey, Buffer.from(signature, 'base64url')))

  t.same(await query('select type, actor, user_id, data from session_events where session_id = $1 and type = \'token.issued\'', [id]), [{ type: 'token.issued', actor: 'service', user_id: 'alice', data: { audience: 'tracker', jti } }])
  const lines = app.logs.filter((line) => line.msg === 'token for a tool server issued')
  t.match(lines, [{ level: 30, sessionId: id, userId: 'alice', audience: 'tracker', jti }])
  const log = JSON.stringify(app.logs)
  t.notOk(log.includes(token) || log.includes(agentToken), 'no token is logged')
})

t.test('nobody but the agent of a session that lives gets one', async (t) => {
  const { id, room, agentToken } = await conversation('bert')
  const userToken = (await app.as('bert').inject({ method: 'POST', url: `/api/v1/voice-sessions/${room}/token` })).json().token
  const { token: toolToken } = (await ask(id, agentToken)).json()
  for (const wrong of [undefined, 'x', userToken, toolToken, `${agentToken.slice(0, -2)}AA`]) sameProblem(t, await ask(id, wrong), noToken)
  sameProblem(t, await app.inject({ url: `/api/v1/sessions/${id}`, headers: { authorization: `Bearer ${toolToken}` } }), problem(401, 'Unauthorized', 'unauthorized', 'A valid bearer token is required.'))
  for (const payload of [{}, { audience: '' }, { audience: 'two words' }, { audience: 'a', sub: 'carl' }]) t.equal((await ask(id, agentToken, payload)).statusCode, 400)

  await app.as('bert').end(room)
  sameProblem(t, await ask(id, agentToken), notFound)
  clock.advance(6 * 3_600_000 + 121_000)
  sameProblem(t, await ask(id, agentToken), noToken)
})

t.test('a new key in front: it signs, what the old one signed goes on', async (t) => {
  const { id, agentToken } = await conversation('cleo')
  const next = await appFor(t, environment(livekit, databaseUrl, { ...given, TOOL_TOKEN_KEYS: `${newKey},${oldKey}` }), clock)
  const { token } = (await ask(id, agentToken, undefined, next)).json()
  t.match(JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString()), { kid: 'a99ac419' })
  t.same((await next.inject({ url: '/api/v1/agent/jwks.json' })).json().keys.map(({ kid }: any) => kid), ['a99ac419', 'af397552'])
})

t.test('without keys there is none to be had', async (t) => {
  const { id, agentToken } = await conversation('dora')
  const off = await appFor(t, environment(livekit, databaseUrl, { VOICE_AGENT_NAME: '' }), clock)
  sameProblem(t, await ask(id, agentToken, undefined, off), problem(422, 'Unprocessable Entity', 'tool-tokens-off', 'No tokens for tools are given out here.'))
  t.same((await off.inject({ url: '/api/v1/agent/jwks.json' })).json(), { keys: [] })
})
