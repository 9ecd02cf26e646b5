// A fresh token for a session of one's own (D5): by the part-A paths, and as LiveKit's TokenSource.
import { TokenSource } from 'livekit-client'
import t from 'tap'
import { joinRoom } from '../dev/livekit/participant.ts'
import { claimsOf, listening, notFound, notYours, problem, sameProblem, userToken } from './helper.ts'

const { app, livekit, query, rooms, address } = await listening(t, { VOICE_MAX_DURATION: '3600', MAX_SESSIONS_PER_USER: '50' })
const invalid = (path: string, message: string) => ({ ...problem(400, 'Bad Request', 'validation-failed', 'The request does not have the form that is asked for.'), errors: [{ in: 'body', path, message }] })
const again = (user: string, room: string) => app.as(user).inject({ method: 'POST', url: `/api/v1/voice-sessions/${room}/token` })

t.test('the same room, identity and grants, never beyond the session\'s end', async (t) => {
  const started = (await app.as('alice').start({ agent_type: 'diet' })).json()
  const response = await again('alice', started.room_name)
  t.equal(response.statusCode, 200)
  const { token, expires_at: expiresAt, ...rest } = response.json()
  t.same(rest, { room_name: started.room_name, livekit_url: livekit.url, agent_type: 'diet' })
  const { exp, nbf: _nbf, ...claims } = claimsOf(token)
  const { exp: _exp, nbf: _nbf2, ...first } = claimsOf(started.token)
  t.same(claims, first)
  t.equal(expiresAt, new Date(exp * 1000).toISOString())
  const [row] = await query('select expires_at, id from sessions where room_name = $1', [started.room_name])
  t.ok(exp * 1000 <= row.expires_at.getTime())
  t.equal((await joinRoom({ url: livekit.url, token })).identity, 'alice')
  t.match(await query('select type, actor from session_events where session_id = $1 and type = \'token.issued\'', [row.id]), [{ actor: 'user:alice' }])
})

t.test('403 and 404 as elsewhere; a room that is gone ends the session', async (t) => {
  const { room_name: room } = (await app.as('bert').start()).json()
  sameProblem(t, await again('eve', room), notYours)
  sameProblem(t, await again('bert', 'fitness-voice-none'), notFound)
  await rooms.deleteRoom(room)
  sameProblem(t, await again('bert', room), notFound)
  t.match(await query('select state from sessions where room_name = $1', [room]), [{ state: 'ended' }])
})

t.test('livekit-client\'s own TokenSource starts, joins and rejoins', async (t) => {
  const source = TokenSource.endpoint(`${address}/api/v1/token`, { headers: { authorization: `Bearer ${userToken('carl')}` } })
  const started = await source.fetch({ agentName: 'voice-agent', agentMetadata: '{"agent_type":"tracker"}' })
  t.equal(started.serverUrl, livekit.url)
  const { sub, video } = claimsOf(started.participantToken)
  t.equal(sub, 'carl')
  t.match(await query('select agent_type, state from sessions where room_name = $1', [video.room]), [{ agent_type: 'tracker', state: 'live' }])
  const user = await joinRoom({ url: started.serverUrl, token: started.participantToken })
  await user.leave()
  const back = await source.fetch({ roomName: video.room })
  t.equal(claimsOf(back.participantToken).video.room, video.room)
  await app.as('carl').end(video.room)
  await t.rejects(source.fetch({ roomName: video.room }, true), { message: /404/ })
  t.equal(claimsOf((await source.fetch({}, true)).participantToken).sub, 'carl')
})

t.test('what a client may not say is refused by name, and nothing is started', async (t) => {
  const dora = app.as('dora')
  const ask = (payload: object) => dora.inject({ method: 'POST', url: '/api/v1/token', payload })
  t.equal((await dora.inject({ method: 'POST', url: '/api/v1/token' })).statusCode, 201, 'nothing at all is {}')
  for (const field of ['participant_metadata', 'participant_attributes']) {
    sameProblem(t, await ask({ [field]: field.endsWith('s') ? {} : 'eve' }), invalid(`/${field}`, 'must NOT be valid'))
  }
  for (const field of ['participant_identity', 'participant_name']) sameProblem(t, await ask({ [field]: 'eve' }), invalid(`/${field}`, 'must be your own'))
  t.equal((await ask({ participant_identity: 'dora', participant_name: 'dora@example.com' })).statusCode, 201, 'what one is anyway may be said')
  sameProblem(t, await ask({ room_config: { agents: [{ agent_name: 'other-agent' }] } }), invalid('/room_config/agents/0/agent_name', 'must be "voice-agent"'))
  sameProblem(t, await ask({ room_config: { agents: [{}, {}] } }), invalid('/room_config/agents', 'must NOT have more than 1 items'))
  sameProblem(t, await ask({ room_config: { empty_timeout: 1 } }), invalid('/room_config', 'must NOT have additional properties'))
  for (const metadata of ['{"agent_type":"doctor"}', '{"system_prompt":"x"}', 'diet', '{"agent_type":"diet","x":1}', '{\v}', '{\u00a0}', '[]', 'null', '"diet"', '{"agent_type":null}', '{"__proto__":1}']) {
    t.match((await ask({ room_config: { agents: [{ metadata }] } })).json(), { status: 400, errors: [{ path: '/room_config/agents/0/metadata' }] })
  }
  t.match((await query('select count(*)::int as n from sessions where user_id = $1', ['dora'])), [{ n: 2 }])
  const headers = { 'idempotency-key': 'same' }
  const rooms = new Set()
  for (let n = 0; n < 2; n++) rooms.add(claimsOf((await dora.inject({ method: 'POST', url: '/api/v1/token', headers, payload: {} })).json().participant_token).video.room)
  t.equal(rooms.size, 2, 'an Idempotency-Key is ignored here')
})
