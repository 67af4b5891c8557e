package pieces

// The pieces' names, where they are needed elsewhere.
const (
	nBare      = "bare"
	nPut       = "put"
	nPutAlways = "put-always"
)

// All are the pieces, in the order in which a round runs them: what is compared
// stands side by side.
var All = []Piece{
	{Name: nBare, What: "constant answer, fasthttp", run: bare(asItIs)},
	{Name: nPut, What: "PUT, appendfsync everysec, no drain", run: likes("everysec", asItIs)},
	{Name: nPutAlways, What: "PUT, appendfsync always, no drain", run: likes("always", asItIs)},
}
