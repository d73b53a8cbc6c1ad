import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { uploadKeys } from '../../src/encryption/upload-keys.ts'
import { parseDeviceId } from '../../src/protocol/identifiers.ts'
import { storageContext, type StorageContext } from '../harness/storage-context.ts'
import { localUser } from './local-user.ts'

let storage: StorageContext
beforeAll(async () => {
  storage = await storageContext()
})
afterAll(() => storage.close())

const upload = { deviceKeys: null, oneTimeKeys: { 'curve25519:A': 'key' }, fallbackKeys: {} }

describe('keys', () => {
  it('cannot be uploaded for a device that was just deleted', async () => {
    const alice = await localUser(storage.ctx, 'alice', 'ALICE')
    const gone = { ...alice, deviceId: parseDeviceId('GONE') }
    await expect(uploadKeys(storage.ctx, gone, upload)).rejects.toMatchObject({ errcode: 'M_UNKNOWN_TOKEN' })
  })

  it('cannot be uploaded without a device', async () => {
    const bob = await localUser(storage.ctx, 'bob', 'BOB')
    await expect(uploadKeys(storage.ctx, { ...bob, deviceId: null }, upload)).rejects.toMatchObject({ errcode: 'M_MISSING_PARAM' }) // prettier-ignore
  })
})
