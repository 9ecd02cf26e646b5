// Two pages, each with what it needs and no more; every file from this origin, as the service's Content-Security-Policy asks.
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react()],
  base: '/web/',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0, // data: addresses are not allowed for scripts and styles
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ['talk.html', 'console.html'] }
  },
  // `npm run dev` beside a service on its usual port
  server: { proxy: { '/api': 'http://127.0.0.1:3000' } }
})
