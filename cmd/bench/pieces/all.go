package pieces

import "plusone/cmd/bench/load"

// The pieces' names, where they are needed elsewhere.
const (
	nBare      = "bare"
	nPut       = "put"
	nPutAlways = "put-always"
	nPutQuota  = "put-quota"
	nSustained = "sustained"
	nInsert    = "pg-insert"
	nAsynq     = "eval-asynq"
	nDrain     = "drain"
	nUpsert    = "raw-upsert"
	nRaw1000   = "raw-redis"
	nScript    = "script"
	nRawHot    = "raw-redis-hot"
	nScriptHot = "script-hot"

	nBareGet    = "bare-get"
	nGet        = "get-hot"
	nGetOne     = "get"
	nGet50      = "get-50"
	nBulk       = "post-1000"
	nBareHalf   = "bare-half"
	nPutHalf    = "put-half"
	nHydrate    = "put-half-hydrate"
	nEvalIdle   = "eval-idle"
	nPutIdle    = "put-idle"
	nPutFull    = "put-full"
	nMemory     = "put-1000-conns"
	nAllocs     = "allocs"
	nReconcile  = "reconcile"
	nPutWorker  = "put-worker"
	nPutChecked = "put-checked"
)

// All are the pieces, in the order in which a round runs them: what is compared
// stands side by side.
var All = []Piece{
	{Name: nBare, What: "constant answer, fasthttp", run: bare(asItIs)},
	{Name: nPut, What: "PUT, appendfsync everysec, no drain", run: likes("everysec", asItIs)},
	{Name: nPutQuota, What: "PUT with a quota of 100 likes an hour, everysec, no drain", run: likes("everysec", asItIs, "--quota", "100/1h")},
	{Name: nPutAlways, What: "PUT, appendfsync always, no drain", run: likes("always", asItIs)},
	{Name: nSustained, What: "PUT, everysec, with a worker: accepted and persisted", run: sustained()},

	{Name: nSustained + "-1", What: "the same, and one participant has agreed", run: agreed(1)},
	{Name: nSustained + "-3", What: "the same with three participants", run: agreed(3)},

	{Name: nInsert, What: "Postgres alone: insert and atomic update in one statement", run: alone("pg-insert")},
	{Name: "pg-lock", What: "Postgres alone: SELECT … FOR UPDATE", run: alone("pg-lock")},
	{Name: "pg-optimistic", What: "Postgres alone: compare and set", run: alone("pg-optimistic")},
	{Name: "saga-http", What: "HTTP saga over two services on Postgres", run: alone("saga-http")},
	{Name: "eval", What: "one EVALSHA a request, a pool of connections", run: eval("eval")},
	{Name: "eval-auto", What: "one EVALSHA a request, sent together by go-redis", run: eval("eval-auto")},
	{Name: nAsynq, What: "one EVALSHA and one asynq task a request: persisted by its worker meanwhile", run: evalAsynq(0)},
	{Name: nAsynq + "-held", What: "the same, accepting no more than is persisted", run: evalAsynq(1000)},

	{Name: nDrain, What: "worker alone, rows with counts", run: drain},
	{Name: nUpsert, What: "upserts with counts, indexes as the ledger's", run: upsert(true)},
	{Name: nUpsert + "-bare", What: "upserts with counts, primary keys only", run: upsert(false)},
	{Name: "copy", What: "COPY, no index, no count", run: copied},

	{Name: nRaw1000, What: "SADD and HINCRBY, 256 a pipeline, log-uniform over 1000 items", run: rawRedis(1000, load.LogUniform)},
	{Name: nScript, What: "the like script, 256 a call, log-uniform over 1000 items", run: script(1000, load.LogUniform)},
	{Name: nRawHot, What: "SADD and HINCRBY, 256 a pipeline, ten items", run: rawRedis(10, load.Uniform)},
	{Name: nScriptHot, What: "the like script, 256 a call, ten items", run: script(10, load.Uniform)},

	{Name: nBareGet, What: "constant answer to GET", run: bare(func(p *load.Plan) { p.Kind = load.Get })},
	{Name: nGet, What: "GET of one hot item's count", run: reads(load.Get, 1, func(p *load.Plan) { p.Items = 1 })},
	{Name: nGetOne, What: "GET of a count and whether the user likes it", run: reads(load.Mine, 1, asItIs)},
	{Name: nGet50, What: "GET of 50 counts and likes in one request", run: reads(load.Many, 50, asItIs)},
	{Name: nBulk, What: "POST of 1000 likes, everysec, no drain", run: likes("everysec", inBulk(1000))},

	{Name: nBareHalf, What: "bare, open loop at half of PUT's maximum", After: nPut, run: halfBare},
	{Name: nPutHalf, What: "PUT, open loop at half of its maximum", After: nPut, run: half(nil)},
	{Name: nHydrate, What: "the same, while an item with 1 M likers comes back from the ledger", After: nPut, run: half(hydrate)},
	{Name: nEvalIdle, What: "one EVALSHA after the other by go-redis, 200/s", run: idleEval},
	{Name: nPutIdle, What: "one PUT after the other, 200/s", run: likes("everysec", idle)},

	{Name: nMemory, What: "PUT over 1000 connections", run: likes("everysec", func(p *load.Plan) { p.Conns = 1000 })},
	{Name: nPutWorker, What: "PUT with a worker, as much as is accepted", run: checked(false)},
	{Name: nPutChecked, What: "the same, while a reconciler compares and its janitor evicts", run: checked(true)},
	{Name: nReconcile, What: "reconcile --once, no limit of its rate", Long: true, run: reconciled},
	{Name: nAllocs, What: "allocations of a PUT: go test -bench BenchmarkHandler/put", Long: true, Full: true, run: allocs},
	{Name: nPutFull, What: "PUT, with 10 M likes stored (--resident-max-bytes 8 GiB)", Long: true, run: full},
}
