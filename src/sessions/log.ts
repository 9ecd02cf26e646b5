// The log as the rules need it: a constant message and what belongs to it. A Fastify logger is one.

type Line = (fields: object, message: string) => void

export interface Log { debug: Line, info: Line, warn: Line, error: Line }
