// Package example is two services that take part in likes, as small as such
// services can be: what to copy, and the proof that it works.
//
//   - Articles keeps how often each article is liked, in a Postgres of its own, and
//     takes no likes for articles that are closed.
//   - Points gives a user a point per like, in a Redis of its own, up to a limit.
//
// Each is a barrier around its own few writes, and a Do for barrier.Handler:
//
//	verifier, err := barrier.NewVerifier(os.Getenv("SECRET"))
//	articles, err := example.NewArticles(ctx, pool)
//	http.Handle("POST /likes", barrier.Handler(verifier, 4*time.Second, articles.Do))
//
// and plusone is told of it by --participant articles=https://…/likes. The timeout
// is below plusone's own, so that an answer which comes too late to be heard is not
// worked for.
package example
