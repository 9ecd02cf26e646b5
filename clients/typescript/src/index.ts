// The client: each call of the service by method and path, its requests and answers typed by the API document.
import createClient, { type Client } from 'openapi-fetch'
import type { components, paths } from './schema.js'

export type { components, paths }
export type Schemas = components['schemas']
export type SessionsClient = Client<paths>

export interface ClientOptions {
  /** Where the service is: https://sessions.example.com */
  url: string
  /** The JWT that the app's own sign-in gave its user; asked for before each call, so that a fresh one can be given. */
  token: () => string | Promise<string>
}

/** A client that calls as the user whose token it is given. */
export function createSessionsClient ({ url, token }: ClientOptions): SessionsClient {
  const client = createClient<paths>({ baseUrl: url })
  client.use({
    async onRequest ({ request }) {
      request.headers.set('authorization', `Bearer ${await token()}`)
      return request
    }
  })
  return client
}
