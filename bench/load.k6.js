// The HTTP life of a session for k6, which `npm run prove:load` starts: each virtual user starts, looks, lists, rejoins and ends, with a second between.
import { check, sleep } from 'k6'
import crypto from 'k6/crypto'
import encoding from 'k6/encoding'
import exec from 'k6/execution'
import http from 'k6/http'

const { URL, SECRET, USERS, SECONDS, PAUSE, RUN } = __ENV // eslint-disable-line no-undef -- k6's own global

export const options = {
  vus: Number(USERS),
  duration: `${SECONDS}s`,
  gracefulStop: '15s',
  discardResponseBodies: false,
  summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
  // A threshold that always holds: k6 reports a metric by tag only when one asks for it.
  thresholds: Object.fromEntries(['start', 'status', 'active', 'token', 'end'].flatMap((name) => [[`http_req_duration{name:${name}}`, ['max>=0']], [`checks{name:${name}}`, ['rate>=0']]]))
}

function bearer (user) {
  const now = Math.floor(Date.now() / 1000)
  const signed = [{ alg: 'HS256', typ: 'JWT' }, { sub: user, iat: now, exp: now + 600 }].map((part) => encoding.b64encode(JSON.stringify(part), 'rawurl')).join('.')
  return `Bearer ${signed}.${crypto.hmac('sha256', SECRET, signed, 'base64rawurl')}`
}

export default function () {
  const authorization = bearer(`load-${RUN}-${exec.vu.idInTest}`)
  const call = (name, method, path) => {
    const response = http.request(method, `${URL}/api/v1/voice-sessions${path}`, null, { headers: { authorization }, tags: { name }, timeout: '15s' })
    // What an overloaded service says counts apart: it is an answer, with a time to come back.
    check(response, { 200: ({ status }) => status === 200 }, { name })
    if (response.status !== 200) check(response, { 'says when to come back': ({ status, headers }) => (status === 429 || status === 503) && headers['Retry-After'] !== undefined }, { name: 'refused' })
    sleep(Number(PAUSE))
    return response
  }
  const started = call('start', 'POST', '/start')
  if (started.status !== 200) return
  const { room_name: room } = started.json()
  call('status', 'GET', `/${room}/status`)
  call('active', 'GET', '/active')
  call('token', 'POST', `/${room}/token`)
  for (let tries = 0; tries < 10 && call('end', 'DELETE', `/${room}`).status !== 200; tries++) sleep(1)
}

export function handleSummary (data) {
  return { stdout: JSON.stringify(data.metrics) }
}
