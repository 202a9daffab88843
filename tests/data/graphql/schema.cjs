// What every backend answers, and what it has seen: one schema, with state that the tests can ask for.
"use strict"

const { createSchema } = require("graphql-yoga")

const typeDefs = /* GraphQL */ `
  type Query {
    hello(name: String = "world"): String!
    product(id: ID!): Product
    products(first: Int = 10): [Product!]!
    "The header of this name as it came; of a subscription's or query's upgrade, where it came over a WebSocket."
    header(name: String!): String
    "What a client sent in connection_init, as JSON."
    initial: String
    "Fails as a program does: with what nobody outside should read."
    broken: String
    "How often this was executed."
    counted(key: String!): Int!
    "Subscriptions of messages under way, and begun so far."
    listening(channel: String = "main"): Int!
    begun(channel: String = "main"): Int!
    "How the WebSocket connections that ended were closed, by the codes that came, the latest last."
    closes: [Int!]!
    slow(milliseconds: Int!): String!
  }

  type Mutation {
    rename(id: ID!, name: String!): Product
    "Sends a message to those who listen; gives their number."
    publish(text: String!, channel: String = "main"): Int!
    "Ends the subscriptions of a channel, each with its complete message."
    finish(channel: String = "main"): Int!
  }

  type Subscription {
    countdown(from: Int!): Int!
    messages(channel: String = "main"): String!
    "Its second value fails as broken does."
    failing: Int
  }

  type Product {
    id: ID!
    name: String!
    price: Int!
    related(first: Int = 3): [Product!]!
    reviews: [Review!]!
  }

  type Review {
    stars: Int!
    text: String
    product: Product!
  }
`

// One who listens to a channel: an asynchronous iterator that is fed.
class Listener {
  constructor(channel) {
    this.channel = channel
    this.queue = []
    this.waiting = null
    this.done = false
    channels(channel).listeners.add(this)
    channels(channel).begun++
  }

  push(value) {
    if (this.waiting) this.waiting({ value, done: false })
    else this.queue.push(value)
    this.waiting = null
  }

  next() {
    if (this.queue.length) return Promise.resolve({ value: this.queue.shift(), done: false })
    if (this.done) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve) => (this.waiting = resolve))
  }

  return() {
    this.done = true
    channels(this.channel).listeners.delete(this)
    if (this.waiting) this.waiting({ value: undefined, done: true })
    this.waiting = null
    return Promise.resolve({ value: undefined, done: true })
  }

  throw(error) {
    return this.return().then(() => Promise.reject(error))
  }

  [Symbol.asyncIterator]() {
    return this
  }
}

const known = new Map()
const counts = new Map()
const closes = []

function channels(name) {
  if (!known.has(name)) known.set(name, { listeners: new Set(), begun: 0 })
  return known.get(name)
}

const product = (id) => ({ id, name: `Product ${id}`, price: 100 + Number(id) })

const resolvers = {
  Query: {
    hello: (_, { name }) => `Hello ${name}`,
    product: (_, { id }) => product(id),
    products: (_, { first }) => Array.from({ length: first }, (_, at) => product(String(at + 1))),
    header: (_, { name }, context) => context.headers[name.toLowerCase()] ?? null,
    initial: (_, __, context) => JSON.stringify(context.initial ?? null),
    broken: () => {
      throw new Error("no route to db-7.internal as user orders")
    },
    counted: (_, { key }) => {
      counts.set(key, (counts.get(key) ?? 0) + 1)
      return counts.get(key)
    },
    listening: (_, { channel }) => channels(channel).listeners.size,
    begun: (_, { channel }) => channels(channel).begun,
    closes: () => closes,
    slow: (_, { milliseconds }) => new Promise((resolve) => setTimeout(resolve, milliseconds, "at last")),
  },
  Mutation: {
    rename: (_, { id, name }) => ({ ...product(id), name }),
    publish: (_, { text, channel }) => {
      const { listeners } = channels(channel)
      listeners.forEach((listener) => listener.push(text))
      return listeners.size
    },
    finish: (_, { channel }) => {
      const ended = [...channels(channel).listeners]
      ended.forEach((listener) => listener.return())
      return ended.length
    },
  },
  Subscription: {
    countdown: {
      subscribe: async function* (_, { from }) {
        for (let value = from; value >= 0; value--) yield { countdown: value }
      },
    },
    messages: {
      subscribe: (_, { channel }) => new Listener(channel),
      resolve: (text) => text,
    },
    failing: {
      subscribe: async function* () {
        yield 1
        yield 2
      },
      resolve: (value) => {
        if (value > 1) throw new Error("no route to db-7.internal as user orders")
        return value
      },
    },
  },
  Product: {
    related: ({ id }, { first }) => Array.from({ length: first }, (_, at) => product(String(Number(id) + at + 1))),
    reviews: async (of) => {
      await new Promise((resolve) => setTimeout(resolve, 5)) // later than the rest, so that @defer has a reason
      return [{ stars: 5, text: "good", product: of }]
    },
  },
}

exports.schema = createSchema({ typeDefs, resolvers })
exports.closed = (code) => closes.push(code)
