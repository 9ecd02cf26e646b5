// neostandard and nothing else, as for the service.
import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist'] }),
  { rules: { 'react/jsx-handler-names': 'off' } } // handlers here are verbs: start, end, rejoin
]
