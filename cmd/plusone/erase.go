package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"plusone/cmd/internal/order"
	"plusone/cmd/internal/settings"
	"plusone/hotpath/like"
	"plusone/tasks"
)

type eraseCmd struct {
	settings.Stores `group:"Stores"`

	User   string        `required:"" help:"The person's user id." placeholder:"ID"`
	DryRun bool          `help:"Only tell what there is."`
	JSON   bool          `name:"json" help:"Report as JSON."`
	Wait   time.Duration `help:"How long a worker may take to drain what is left." default:"1m"`
}

// outOfReach is where a user may be named that this command can't get at.
const outOfReach = "Out of reach: Redis' append-only file until it is rewritten (BGREWRITEAOF), Postgres' dead rows until VACUUM, " +
	"replicas and backups until they follow, the logs of proxies, and ids of items."

// erasure is the command's report. It does not repeat the id.
type erasure struct {
	DryRun bool       `json:"dry_run"`
	Found  *foundUser `json:"found,omitempty"` // with DryRun
	tasks.Erasure
	OutOfReach string `json:"out_of_reach"`
}

// foundUser is what a look has found, in numbers.
type foundUser struct {
	Likes       int   `json:"likes"`
	Tombstones  int   `json:"tombstones"`
	DeadLetters int64 `json:"dead_letters"`
	Repairs     int64 `json:"repairs"`
	Sagas       int64 `json:"sagas"`
	Revoked     int64 `json:"revoked"` // rows of revocations
	Sets        int   `json:"sets"`
	Entries     int   `json:"log_entries"`
}

// Run erases a user while others run: the worker drains what it takes back.
func (c eraseCmd) Run(ctx context.Context, log *slog.Logger, out io.Writer) error {
	if like.CheckUser(c.User) != nil {
		return usage("--user is no user id")
	}
	p, err := open(ctx, log, c.Stores, "erase")
	if err != nil {
		return err
	}
	defer p.close()
	likes, err := p.addLoader()
	if err != nil {
		return err
	}
	eraser := &tasks.Eraser{Likes: likes, Log: p.logs, Ledger: p.ledger, Ring: p.bell.Ring, Wait: c.Wait}
	ctx, ended := context.WithCancel(ctx)
	defer ended()
	var failed error
	p.add("erasure", func(ctx context.Context) error {
		failed = c.erase(ctx, eraser, out)
		ended()
		<-ctx.Done()
		return nil
	})
	return errors.Join(order.Run(ctx, p.parts...), failed)
}

func (c eraseCmd) erase(ctx context.Context, eraser *tasks.Eraser, out io.Writer) (err error) {
	report := erasure{DryRun: c.DryRun, OutOfReach: outOfReach}
	if c.DryRun {
		t, err := eraser.Look(ctx, c.User)
		if err != nil {
			return err
		}
		report.Found = &foundUser{
			Likes: len(t.Ledger.Liked), Tombstones: len(t.Ledger.Removed), DeadLetters: t.Ledger.DeadLetters,
			Repairs: t.Ledger.Repairs, Sagas: t.Ledger.Sagas, Revoked: t.Ledger.Revoked, Sets: t.Redis.Len(), Entries: t.Entries,
		}
	} else {
		report.Erasure, err = eraser.Erase(ctx, c.User)
	}
	switch {
	case errors.Is(err, like.ErrElsewhere):
		err = fmt.Errorf("run this again when Redis is back; likes are written straight to Postgres now: %w", err)
	case errors.Is(err, tasks.ErrStillThere):
		err = fmt.Errorf("%w: take away the person's access first, then run this again", err)
	}
	return errors.Join(c.show(out, report), err)
}

func (c eraseCmd) show(out io.Writer, r erasure) (err error) {
	switch f, e := r.Found, r.Erasure; {
	case c.JSON:
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case f != nil:
		_, err = fmt.Fprintf(out, "Postgres has %d likes, %d tombstones, %d dead letters, %d repairs, %d sagas and %d rows of revocations of the user; "+
			"Redis has them in %d sets and %d log entries. Nothing was changed.\n",
			f.Likes, f.Tombstones, f.DeadLetters, f.Repairs, f.Sagas, f.Revoked, f.Sets, f.Entries)
	default:
		_, err = fmt.Fprintf(out, "%d likes taken back; %d tombstones, %d dead letters, %d repairs, %d sagas, %d rows of revocations and %d marks in sets deleted; looked %d times.\n%s\n",
			e.Unliked, e.Tombstones, e.DeadLetters, e.Repairs, e.Sagas, e.Revoked, e.Sets, e.Looks, outOfReach)
	}
	return err
}
