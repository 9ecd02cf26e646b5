// Ingresses in PostgreSQL: which are to be seen to. What has become of one is in the row of its session.
import type { IngressStore } from '../../src/sessions/ingress.ts'
import { takeDue } from './due.ts'
import type { Database } from './query.ts'

export const createIngressStore = (database: Database): IngressStore => ({ due: takeDue(database, 'ingress_check_at') })
