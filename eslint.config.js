// neostandard and nothing else, plus the house: which folder may know which (docs/design.md has the picture).
import neostandard from 'neostandard'

/** In `files`, an import that matches one of the patterns is refused, also of types. */
const house = (files, message, ...regexes) => ({
  files,
  rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: regexes.map((regex) => ({ regex, message })) }] }
})

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'data', '.tap', 'agents', 'web', 'clients', 'generated', '.cache'] }),
  house(['src/sessions/**/*.ts'], 'The rules import nothing but each other and Node.', '^(?!\\./|node:)'),
  house(['plugins/*.ts'], 'A plugin may import the rules\' types and errors, and no other plugin.', '^\\./', '^\\.\\./(?!src/sessions/)'),
  house(['plugins/*/**/*.ts'], 'A plugin may import the rules\' types and errors, and no other plugin.', '^\\.\\./(?!\\.\\./src/sessions/)'),
  house(['routes/**/*.ts'], 'A route meets plugins and rules through decorators; it shares the vocabulary with the rules.', '^\\.\\./(?!src/sessions/vocabulary\\.ts$)'),
  house(['src/*.ts'], 'What ships knows nothing of development.', '/(dev|test|bench)/')
]
