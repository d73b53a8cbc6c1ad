import { describe, expect, it } from '@jest/globals'
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const program = fileURLToPath(new URL('alone.ts', import.meta.url))

/**
 * A network with nobody in it: whatever leaves takes the default route, through a device that counts, to an end where nobody listens. Names are
 * asked of a server out there. What the kernel has to say when a device comes up is over after some seconds.
 */
const setUp = `set -e
ip link set lo up
ip link add recorder type veth peer name outside
ip link set recorder addrgenmode none
ip link set outside addrgenmode none
ip address add 192.0.2.2/24 dev recorder
ip link set outside up
ip link set recorder up
ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev recorder
ip route add default via 192.0.2.1 dev recorder
# Where there is no IPv6, none can leave.
if ip address add fd00:7e57::2/64 dev recorder nodad 2>/dev/null; then
  ip neighbour add fd00:7e57::1 lladdr 02:00:00:00:00:01 dev recorder
  ip route add default via fd00:7e57::1 dev recorder
fi
names=$(mktemp)
echo 'nameserver 192.0.2.53' > "$names"
mount --bind "$names" /etc/resolv.conf
rm "$names"`
const settle = 'sleep 5'

/** Root makes the network at once, others as the root of a user namespace, where they may. */
const namespaces = ['--net', '--mount', ...(process.geteuid?.() === 0 ? [] : ['--map-root-user'])]
const attempt = spawnSync('unshare', [...namespaces, 'sh', '-c', setUp], { encoding: 'utf8' })
const isPossible = attempt.status === 0
if (!isPossible) process.stderr.write('No network namespace can be made here: phoning home is not looked for.\n')

const describeAlone = isPossible ? describe : describe.skip

describeAlone('promise 18: no behavioural tracking, no phone-home', () => {
  it('sends nothing out of the machine, from its start to its end', async () => {
    const { stdout } = await promisify(execFile)(
      'unshare',
      [...namespaces, 'sh', '-c', `${setUp}\n${settle}\nexec "$0" "$1"`, process.execPath, program],
      { env: { PATH: process.env['PATH'], TEST_POSTGRES_SERVICE: process.env['TEST_POSTGRES_SERVICE'] } },
    )
    const seen: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    expect(seen).toEqual({ sent: 0, lookups: expect.any(Number), connections: expect.any(Number), picture: 200 })
    // A recorder that sees nothing when something is sent would prove nothing.
    expect(seen).not.toMatchObject({ lookups: 0 })
    expect(seen).not.toMatchObject({ connections: 0 })
  }, 90_000)
})
