// Package api is the public listener: it turns HTTP requests into likes and
// readings, and errors into problem documents.
//
//	connection ─▶ limits ─▶ route ─▶ who asks ─▶ handler ─▶ Counter, Lists, …
//	                 │         │         │          │
//	                 └─────────┴─────────┴──────────┴──▶ one table: status, code
//
// What it promises:
//
//   - Nothing is applied for a request that is answered with 4xx.
//   - Every error, the parser's own and a panic included, is an
//     application/problem+json document with a stable code and the request id.
//   - Ids are unescaped exactly once, after the raw path has been split.
//   - Nothing of a RequestCtx outlives its handler: ids are copied to strings
//     before they are handed on, and the context handed on is not the
//     RequestCtx but a deadline. Stores keep nothing of a request but strings.
//   - Connections, requests in flight, headers, bodies and times are bounded.
//   - Shutdown answers the requests that have been accepted.
//
// It keeps no state beyond open connections and knows no store: what it needs
// of them are the small interfaces in stores.go.
package api
