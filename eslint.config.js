// neostandard and nothing else, plus the one rule of the house: plugins and routes meet through decorators, never by import.
import neostandard from 'neostandard'

const house = (...folders) => ({
  '@typescript-eslint/no-restricted-imports': ['error', {
    patterns: [{ group: folders.map((folder) => `**/${folder}/**`), allowTypeImports: true, message: 'Plugins and routes meet through decorators; only src/ imports the others.' }]
  }]
})

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'data', '.tap', 'agents', 'web', 'generated', '.cache'] }),
  { files: ['plugins/**/*.ts'], rules: house('src', 'routes', 'dev', 'test') },
  { files: ['routes/**/*.ts'], rules: house('src', 'plugins', 'dev', 'test') },
  { files: ['src/**/*.ts'], rules: house('dev', 'test') }
]
