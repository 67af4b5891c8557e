package settings

import (
	"net/netip"
	"time"
)

// Stores says where the two stores are.
type Stores struct {
	RedisURL    string `name:"redis-url" help:"Redis: redis://[user:password@]host:port/db, or rediss:// for TLS." placeholder:"URL"`
	PostgresURL string `name:"postgres-url" help:"Postgres: postgres://user:password@host:port/database." placeholder:"URL"`
	Tuning
}

// Tuning is what holds wherever the stores are.
type Tuning struct {
	Shards Shards `help:"Number of shards, a power of two up to 4096. It is set once; changing it means drain, change, start." default:"16"`
	Unsafe bool   `help:"Run on a Redis that may evict or lose likes, which is refused otherwise."`
}

// HTTP bounds the public listener.
type HTTP struct {
	Listen       string        `help:"Address of the public listener." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	MaxConns     int           `help:"Connections that may be open at a time." default:"16384"`
	MaxBody      int           `help:"Bytes that a request's body may have." default:"1048576"`
	ReadTimeout  time.Duration `help:"Time for a client to send a request, headers and body." default:"5s"`
	WriteTimeout time.Duration `help:"Time for a client to take an answer." default:"10s"`
	IdleTimeout  time.Duration `help:"Time after which an unused connection is closed." default:"60s"`
}

// Auth says who may speak for whom.
type Auth struct {
	Auth           string         `help:"How users are known: header (X-User-ID from a trusted proxy) or jwt." enum:"header,jwt" default:"header"`
	TrustedProxies []netip.Prefix `help:"Networks whose X-User-ID is believed." default:"127.0.0.0/8,::1/128" placeholder:"CIDR"`
	ServerKeys     []ServerKey    `help:"Keys of servers that may act for users, as name=sha256:<hex of the key's SHA-256>." placeholder:"NAME=HASH"`
	CursorSecret   string         `help:"Secret, at least 32 characters, that signs list cursors: the same on every machine. Without it one is made at every start and cursors end with it." placeholder:"SECRET"`

	JWTKeyFile    string   `name:"jwt-key-file" help:"File with an HS256 secret of at least 32 bytes, or with an Ed25519 public key (PEM)." placeholder:"FILE"`
	JWKS          string   `name:"jwks" help:"File or URL of a JSON Web Key Set." placeholder:"FILE|URL"`
	JWTAlgorithms []string `name:"jwt-algorithms" help:"Algorithms that a token may use." default:"EdDSA" placeholder:"ALG"`
	JWTIssuer     string   `name:"jwt-issuer" help:"The iss that a token must have." placeholder:"ISS"`
	JWTAudience   string   `name:"jwt-audience" help:"The aud that a token must have." placeholder:"AUD"`
}

// Limits bounds what waits.
type Limits struct {
	MaxPending int           `help:"Entries that a shard's log may hold before likes are refused with 503." default:"65536"`
	QueueSize  int           `help:"Likes that may wait for Redis in this process before more are refused with 503." default:"32768"`
	OpTimeout  time.Duration `help:"Time for one request's work in the stores." default:"2s"`
}

// Notify says whom to tell of changes, and how often to try.
type Notify struct {
	WebhookURLs         []string        `name:"webhook-url" help:"Address that is told of changes; more than one may be given." placeholder:"URL"`
	WebhookSecret       string          `name:"webhook-secret" help:"Secret that signs notifications (Standard Webhooks): whsec_ and base64." placeholder:"whsec_…"`
	WebhookWindow       time.Duration   `name:"webhook-window" help:"Changes of one item within this time are told together." default:"10s"`
	WebhookLadder       []time.Duration `name:"webhook-ladder" help:"When to try again, counted from the first attempt." default:"1m,5m,10m,30m,1h,2h,5h,10h" placeholder:"TIME"`
	WebhookTimeout      time.Duration   `name:"webhook-timeout" help:"Time for a receiver to answer." default:"10s"`
	WebhookAllowPrivate bool            `name:"webhook-allow-private" help:"Allow receivers on private, loopback and link-local addresses."`
}

// Reconcile says how hard to compare the stores.
type Reconcile struct {
	ReconcileInterval time.Duration `name:"reconcile-interval" help:"Time between the starts of two passes." default:"1m"`
	ReconcileRate     int           `name:"reconcile-rate" help:"Pairs of item and user to compare per second, in this process." default:"20000"`
}

// Internal is the internal listener.
type Internal struct {
	InternalListen      string `name:"internal-listen" help:"Address of the internal listener: health, metrics, tasks, profiles." default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	InternalAllowRemote bool   `name:"internal-allow-remote" help:"Let the internal listener, which asks nobody who they are, listen beyond this machine."`
}
