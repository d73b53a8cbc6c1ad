import pg from 'pg'

/** Databases on one Postgres server, made for homeservers of one run and dropped at its end. */
export class Databases {
  readonly #url: string
  readonly #prefix: string
  #count = 0
  #created: string[] = []

  /** `url` names a database of a role that may create databases; `prefix` (lower-case letters, digits and underscores)
   *  begins the name of each. */
  constructor(url: string, prefix: string) {
    if (!/^[a-z0-9_]{1,40}$/.test(prefix)) throw new Error('a database prefix is made of a-z, 0-9 and _')
    this.#url = url
    this.#prefix = prefix
  }

  /** Creates an empty database and returns its URL. Throws what Postgres says. */
  async create(): Promise<string> {
    this.#count += 1
    const name = `${this.#prefix}_${this.#count}`
    // The name is of the alphabet checked above; a utility statement takes no parameters.
    await this.#administer([`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`])
    this.#created.push(name)
    const url = new URL(this.#url)
    url.pathname = `/${name}`
    return url.href
  }

  /** Drops every database that `create` made, its connections included. */
  async dropAll(): Promise<void> {
    const names = this.#created
    this.#created = []
    if (names.length === 0) return
    await this.#administer(names.map(name => `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`))
  }

  async #administer(statements: readonly string[]): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url })
    await client.connect()
    try {
      for (const statement of statements) await client.query(statement)
    } finally {
      await client.end()
    }
  }
}
