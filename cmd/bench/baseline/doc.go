// Package baseline holds what plusone is compared with: the limits of what it is
// built of, and the ways in which likes are mostly counted. Each is as good as its
// idea allows, and stores what can be counted at its end: every user likes an item
// once at most, whatever is repeated.
//
// Servers, each a process of its own (bench serve NAME):
//
//	bare            fasthttp with a constant answer: the limit of HTTP
//	eval            one EVALSHA a request, from a pool of connections
//	eval-auto       the same, sent together by go-redis' pipelines
//	eval-asynq      one EVALSHA and one asynq task a request
//	asynq-worker    moves those tasks into Postgres, one by one
//	pg-insert       Postgres alone: insert and atomic update in one statement
//	pg-lock         Postgres alone: SELECT … FOR UPDATE
//	pg-optimistic   Postgres alone: compare and set of a version
//	saga-http       a saga over a service of likes and one of points
//	participants    not compared with: the services that plusone asks
//
// Raw, Upsert and Copy talk to a store without HTTP.
package baseline
