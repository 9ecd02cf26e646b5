// @fastify/rate-limit's stores, which it has no types for.
declare module '@fastify/rate-limit/store/*' {
  const Store: new (...options: unknown[]) => { incr: (key: string, done: (error: Error | null, result?: { current: number, ttl: number }) => void, timeWindow: number, max: number) => void }
  export default Store
}
