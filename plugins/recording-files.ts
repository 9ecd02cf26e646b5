// The files of recordings in S3-compatible storage: signed links to them, and their deletion.
import createError from '@fastify/error'
import { AwsClient } from 'aws4fetch'
import fp from 'fastify-plugin'
import type { RecordingFiles } from '../src/sessions/recordings.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where no storage is configured. */
    recordingFiles: RecordingFiles | undefined
  }
}

/** The storage did not delete a file; it is tried again. */
export const StorageFailed = createError('STORAGE_FAILED', 'The storage of recordings did not answer as it should', 500)

/** How long a link is good, seconds. */
const LINK = 900
const LIMIT = 5000 // ms

export interface StorageOptions { endpoint: string, region: string, bucket: string, accessKey: string, secretKey: string }

/** Addresses are in path style, which every storage understands: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html */
export function createRecordingFiles ({ endpoint, region, bucket, accessKey, secretKey }: StorageOptions): RecordingFiles {
  const client = new AwsClient({ accessKeyId: accessKey, secretAccessKey: secretKey, service: 's3', region, retries: 0 })
  const addressOf = (file: string) => `${endpoint}/${bucket}/${file}`
  return {
    async link (file) {
      const { url } = await client.sign(`${addressOf(file)}?X-Amz-Expires=${LINK}`, { aws: { signQuery: true } })
      return url
    },
    async remove (file) {
      const { status } = await client.fetch(addressOf(file), { method: 'DELETE', signal: AbortSignal.timeout(LIMIT) })
      // One that is not there is 204 as well, with most.
      if (status >= 300 && status !== 404) throw new StorageFailed({ cause: new Error(`it answered ${status}`) })
    }
  }
}

export default fp(async (app) => {
  const { S3_REGION: region, S3_ENDPOINT: endpoint = `https://s3.${region}.amazonaws.com`, S3_BUCKET: bucket, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey } = app.config
  app.decorate('recordingFiles', bucket && accessKey && secretKey ? createRecordingFiles({ endpoint, region, bucket, accessKey, secretKey }) : undefined)
}, { name: 'recording-files', decorators: { fastify: ['config'] } })
