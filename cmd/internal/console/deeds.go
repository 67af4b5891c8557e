package console

import (
	"context"
	"net/url"

	"plusone/hotpath/like"
	"plusone/tasks/ledger"
)

// deed is something that an operator may do; a command does the same.
type deed struct {
	name  string // of its button
	says  string // what comes of it
	done  string // when it is done
	final bool   // it can't be taken back, so it is asked twice
	do    func(ctx context.Context, c *Console, id string, by ledger.By) error
}

// deeds are all that can be done, by what it is done to and its name.
var deeds = map[string]deed{
	"item/freeze": {
		name: "Freeze", says: "New likes of it are answered 409 item_frozen; unlikes and reads go on.", done: "It takes no new likes.",
		do: freeze(true),
	},
	"item/unfreeze": {
		name: "Unfreeze", says: "It takes likes again.", done: "It takes likes again.",
		do: freeze(false),
	},
	"item/reconcile": {
		name: "Reconcile now", says: "Compares both sides, pair by pair, and repairs what no pending change explains.",
		done: "Compared. What was found stands among the repairs.",
		do: func(ctx context.Context, c *Console, id string, by ledger.By) error {
			_, err := c.opt.Reconciler.Item(ctx, id, by)
			return err
		},
	},
	"saga/retry": {
		name: "Retry", says: "Makes the next attempt now, also of one that is stuck.", done: noted, do: onSaga(ledger.ActRetry),
	},
	"saga/compensate": {
		name: "Compensate", final: true, done: noted, do: onSaga(ledger.ActCompensate),
		says: "Takes it back, whatever participants would say; those that agreed are to give it back.",
	},
	"saga/complete": {
		name: "Complete", final: true, done: noted, do: onSaga(ledger.ActComplete),
		says: "Goes on as if all had answered: that they agree, or have given it back when that has begun.",
	},
	"sagas/retry": {
		name: "Retry all", says: "Makes the next attempt of all that are stuck, or have had one without an answer.", done: noted,
		do: func(ctx context.Context, c *Console, _ string, by ledger.By) error {
			_, err := c.opt.Ledger.RetryHanging(ctx, by)
			return err
		},
	},
	"letter/retry": {
		name: "Retry", says: "A worker makes the change again, unless something newer has happened to the pair.", done: noted,
		do: onLetter(ledger.ActRetry),
	},
	"letter/drop": {
		name: "Drop", says: "Says that it was dealt with. The change is not made.", done: "Dropped.", final: true, do: onLetter(ledger.ActDrop),
	},
	"revocation/undo": {
		name: "Undo", final: true, done: noted,
		says: "Returns the likes that were taken and that nothing newer has happened to. One that still runs takes no more.",
		do: func(ctx context.Context, c *Console, id string, by ledger.By) error {
			return c.opt.Ledger.UndoRevocation(ctx, id, by)
		},
	},
	"notification/resend": {
		name: "Send again", done: "The next worker sends it.",
		says: "To every receiver it was addressed to, from the first attempt on, with the same id.",
		do: func(ctx context.Context, c *Console, id string, by ledger.By) error {
			return c.opt.Ledger.Resend(ctx, idOf(id), by)
		},
	},
}

const noted = "Noted; the next worker goes on with it."

func freeze(frozen bool) func(context.Context, *Console, string, ledger.By) error {
	return func(ctx context.Context, c *Console, id string, by ledger.By) error {
		if err := like.CheckItem(id); err != nil {
			return err
		}
		return c.opt.Freezer.Freeze(ctx, []string{id}, frozen, by)
	}
}

func onSaga(act string) func(context.Context, *Console, string, ledger.By) error {
	return func(ctx context.Context, c *Console, id string, by ledger.By) error {
		return c.opt.Ledger.ActOnSaga(ctx, id, act, by)
	}
}

func onLetter(act string) func(context.Context, *Console, string, ledger.By) error {
	return func(ctx context.Context, c *Console, id string, by ledger.By) error {
		return c.opt.Ledger.ActOnLetter(ctx, idOf(id), act, by)
	}
}

// subjects are the pages of what is acted on.
var subjects = map[string]string{
	"item": "/console/item?id=", "saga": "/console/saga?id=", "letter": "/console/letter?id=",
	"revocation": "/console/revocation?id=", "notification": "/console/notification?id=",
}

// doneText is what a page says when it comes back from an act.
func doneText(key string) string { return deeds[key].done }

// placeOf is the page of what was acted on.
func placeOf(kind, id string) string {
	if kind == "sagas" { // all of them
		return "/console/sagas"
	}
	return subjects[kind] + url.QueryEscape(id)
}
