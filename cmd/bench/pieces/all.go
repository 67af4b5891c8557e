package pieces

import "plusone/cmd/bench/load"

// The pieces' names, where they are needed elsewhere.
const (
	nBare      = "bare"
	nPut       = "put"
	nPutAlways = "put-always"
	nSustained = "sustained"
	nInsert    = "pg-insert"
	nAsynq     = "eval-asynq"
	nDrain     = "drain"
	nUpsert    = "raw-upsert"
	nRaw1000   = "raw-redis"
	nScript    = "script"
	nRawHot    = "raw-redis-hot"
	nScriptHot = "script-hot"
)

// All are the pieces, in the order in which a round runs them: what is compared
// stands side by side.
var All = []Piece{
	{Name: nBare, What: "constant answer, fasthttp", run: bare(asItIs)},
	{Name: nPut, What: "PUT, appendfsync everysec, no drain", run: likes("everysec", asItIs)},
	{Name: nPutAlways, What: "PUT, appendfsync always, no drain", run: likes("always", asItIs)},
	{Name: nSustained, What: "PUT, everysec, with a worker: accepted and persisted", run: sustained()},

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
}
