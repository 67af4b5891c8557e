package console

import (
	"context"
	"errors"

	"plusone/hotpath/like"
	"plusone/reconcile"
	"plusone/tasks"
	"plusone/tasks/ledger"
)

// explain says what is wrong, and what to do about it. Texts of servers stay in the
// log.
func explain(err error) trouble {
	switch {
	case errors.Is(err, like.ErrNotFound):
		return trouble{"There is no such thing", "It may have ended and been forgotten, or the address is not right."}
	case errors.Is(err, like.ErrBadID):
		return trouble{"That can't be an id", err.Error()}
	case errors.Is(err, ledger.ErrActRefused):
		return trouble{"Its state does not allow this", "Somebody or something else was faster. Look at it again."}
	case errors.Is(err, tasks.ErrNotYet):
		return trouble{"Kept, and not yet in force everywhere", tasks.ErrNotYet.Error()}
	case errors.Is(err, reconcile.ErrTaken):
		return trouble{"Another reconciler is at it", "It compares this shard just now. Try again in a moment."}
	case errors.Is(err, reconcile.ErrLag):
		return trouble{"Nothing could be compared", "The ledger lags behind the log. Is a worker running?"}
	case errors.Is(err, like.ErrElsewhere):
		return trouble{"Likes are written to Postgres at present", "Redis is away, so nothing can be compared until writes go back to it."}
	case errors.Is(err, context.DeadlineExceeded):
		return trouble{"That took too long", "Postgres is slow, or a lock is held. The overview tells how both stores are; then try again."}
	default:
		return trouble{"A store does not answer", "The overview tells which. /readyz and plusone doctor look deeper; likes go on as README says."}
	}
}
