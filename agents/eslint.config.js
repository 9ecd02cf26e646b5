// neostandard and nothing else, as in the service.
import neostandard from 'neostandard'

export default neostandard({ ts: true, ignores: ['dist'] })
