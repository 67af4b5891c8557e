package stage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"plusone/scripts/dev/private"
)

// Hall is what all stages share: a Postgres, whose databases are the stages'.
type Hall struct {
	Plusone  string // the program
	Self     string // the bench's own
	Postgres *private.Postgres
	dir      string
	stages   int
}

// PostgresSettings are what Postgres has for every piece alike, plusone and
// baselines. Commits are durable.
var PostgresSettings = []string{"shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=30min", "max_connections=200"}

// the database that each stage's is a copy of
const template = "migrated"

const endTime = 20 * time.Second

// NewHall starts Postgres and migrates the template of all databases.
func NewHall(ctx context.Context, dir, plusone string) (_ *Hall, err error) {
	h := &Hall{Plusone: plusone, dir: dir}
	if h.Self, err = os.Executable(); err != nil {
		return nil, err
	}
	h.Postgres, err = private.StartPostgres(ctx, private.PostgresOptions{Dir: filepath.Join(dir, "postgres"), Extra: PostgresSettings})
	if err != nil {
		return nil, err
	}
	if err := h.execute(ctx, "CREATE DATABASE "+template); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	cmd := exec.CommandContext(ctx, plusone, "migrate", "--postgres-url", h.database(template))
	cmd.Env = cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate: %w: %s", err, out), h.Close())
	}
	return h, nil
}

// Close ends what the hall started.
func (h *Hall) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	return errors.Join(h.Postgres.Stop(ctx), os.RemoveAll(filepath.Join(h.dir, "postgres")))
}

// database is the URL of a database.
func (h *Hall) database(name string) string {
	u, err := url.Parse(h.Postgres.URL())
	if err != nil {
		panic(err) // it is our own
	}
	u.Path = "/" + name
	return u.String()
}

func (h *Hall) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, h.Postgres.URL())
	if err == nil {
		_, err = conn.Exec(ctx, sql)
		err = errors.Join(err, conn.Close(ctx))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// next names the next stage.
func (h *Hall) next() string {
	h.stages++
	return "stage" + strconv.Itoa(h.stages)
}

// cleanEnv is our environment without settings of plusone.
func cleanEnv() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PLUSONE_") {
			env = append(env, kv)
		}
	}
	return env
}
