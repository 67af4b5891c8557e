package settings

import (
	"net/netip"
	"slices"
	"time"

	"plusone/hotpath/api"
	"plusone/hotpath/like"
)

// Stores says where the two stores are.
type Stores struct {
	Redis
	Postgres
	Tuning
}

// Missing names the settings without which there is nothing to open.
func (s Stores) Missing() []string { return slices.Concat(s.Redis.Missing(), s.Postgres.Missing()) }

// Redis says where Redis is.
type Redis struct {
	RedisURL string `name:"redis-url" help:"Redis: redis://[user:password@]host:port/db, or rediss:// for TLS." placeholder:"URL"`
}

// Missing names the setting if it is missing.
func (r Redis) Missing() []string { return missing("redis-url", r.RedisURL) }

// Postgres says where Postgres is.
type Postgres struct {
	PostgresURL string `name:"postgres-url" help:"Postgres: postgres://user:password@host:port/database." placeholder:"URL"`
}

// Missing names the setting if it is missing.
func (p Postgres) Missing() []string { return missing("postgres-url", p.PostgresURL) }

func missing(flag, value string) []string {
	if value != "" {
		return nil
	}
	return []string{"--" + flag + " (" + Variable(flag) + ")"}
}

// Tuning is what holds wherever the stores are.
type Tuning struct {
	Shards Shards `help:"Number of shards, a power of two up to 4096: what the ledger has, 4 in a new one. It is set once; plusone migrate shards changes it."`
	Unsafe bool   `help:"Run on a Redis that may evict likes (maxmemory-policy other than noeviction), which is refused otherwise."`

	ResidentMaxBytes int64   `name:"resident-max-bytes" help:"Memory that Redis shall use at most; above 85 % of it idle items are made cold. 0: 60 % of its maxmemory, or 1 GiB." default:"0" placeholder:"BYTES"`
	ResidentSetMax   SetSize `name:"resident-set-max" help:"Likers from which an item is in Redis partly only, up to 100000: the rest is looked up in Postgres when needed." default:"20000" placeholder:"N"`

	Quota              Quota `help:"Likes that a user may make, as N/window: 100/1h. Every process must be told the same (default: no limit)." placeholder:"N/TIME"`
	QuotaRefundUnlikes bool  `help:"A user's unlike gives back what a like took of --quota."`

	WebhookWindow time.Duration `name:"webhook-window" help:"Changes of one item within this time are told together." default:"10s"`

	Participants []Participant `name:"participant" help:"Service that must agree to every like after the fact, as name=URL; more than one are asked in this order. Every process must be told the same." placeholder:"NAME=URL"`
}

// LikeQuota is what a user may like.
func (t Tuning) LikeQuota() like.Quota {
	return like.Quota{Likes: t.Quota.Likes, Window: t.Quota.Window, RefundUnlikes: t.QuotaRefundUnlikes}
}

// ParticipantNames are the names of the participants, in the order of their calls.
func (t Tuning) ParticipantNames() []string {
	names := make([]string, len(t.Participants))
	for i, p := range t.Participants {
		names[i] = p.Name
	}
	return names
}

// HTTP bounds the public listener.
type HTTP struct {
	Listen       string        `help:"Address of the public listener (default: ${default})." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	MaxConns     int           `help:"Connections that may be open at a time." default:"16384"`
	MaxInFlight  int           `help:"Requests that may be under way at a time." default:"4096"`
	MaxStreams   int           `help:"Streams of counts (GET /v1/stream) that may be open at a time, beside the connections." default:"10000"`
	StreamEvery  time.Duration `help:"Time between two looks at the counts that streams watch." default:"1s"`
	MaxBody      int           `help:"Bytes that a request's body may have." default:"1048576"`
	MaxHeader    int           `help:"Bytes that a request's line and headers may have." default:"16384"`
	ReadTimeout  time.Duration `help:"Time for a client to send a request, headers and body." default:"5s"`
	WriteTimeout time.Duration `help:"Time for a client to take an answer." default:"5s"`
	IdleTimeout  time.Duration `help:"Time after which an unused connection is closed." default:"60s"`
}

// Auth says who may speak for whom.
type Auth struct {
	Auth             string         `help:"How users are known: header (X-User-ID from a trusted proxy), jwt, or cookie (a signed one for every visitor)." enum:"header,jwt,cookie" default:"header"`
	CORSOrigins      []api.Origin   `name:"cors-origin" help:"Origin of pages elsewhere that may ask in the name of their visitors, such as https://www.example.org; more than one may be given (default: none)." placeholder:"ORIGIN"`
	TrustedProxies   []netip.Prefix `help:"Networks whose X-User-ID, X-Forwarded-For and Forwarded are believed (default: ${default})." default:"127.0.0.0/8,::1/128" placeholder:"CIDR"`
	ServerKeys       []string       `help:"Keys of servers that may act for users, as name=sha256:<hex of the key's SHA-256>." placeholder:"NAME=HASH" secret:"named"`
	JWTSecretFile    string         `name:"jwt-secret-file" help:"File with an HS256 secret of at least 32 bytes." placeholder:"FILE"`
	JWTPublicKeyFile string         `name:"jwt-public-key-file" help:"File with an Ed25519 public key (PEM)." placeholder:"FILE"`
	JWKSFile         string         `name:"jwks-file" help:"File with a JSON Web Key Set; it is read again every 5 minutes." placeholder:"FILE"`
	JWKSURL          string         `name:"jwks-url" help:"URL of a JSON Web Key Set, https." placeholder:"URL"`
	JWTAlgorithms    []string       `name:"jwt-algorithms" help:"Algorithms that tokens may use beside those of the keys above: RS256, ES256; for key sets only." placeholder:"ALG"`
	JWTIssuer        string         `name:"jwt-issuer" help:"The iss that a token must have." placeholder:"ISS"`
	JWTAudience      string         `name:"jwt-audience" help:"The aud that a token must have." placeholder:"AUD"`
}

// Limits bounds what waits.
type Limits struct {
	MaxPending int           `help:"Entries that a shard's log may hold before likes are refused with 503." default:"65536"`
	QueueSize  int           `help:"Likes that may wait for Redis in this process before more are refused with 503." default:"32768"`
	OpTimeout  time.Duration `help:"Time for one request's work in the stores." default:"2s"`
}

// Rates bounds what one user or one address may ask.
type Rates struct {
	UserRate     float64 `help:"Requests per second that a user may make; 0: no limit." default:"0"`
	UserBurst    int     `help:"Requests that a user may make at once, when --user-rate is set." default:"20"`
	AddressRate  float64 `help:"Requests per second from one address (IPv6: one /64), servers with a key excepted; 0: no limit." default:"0"`
	AddressBurst int     `help:"Requests from one address at once, when --address-rate is set." default:"200"`
}

// Notify says whom to tell of changes, and how often to try.
type Notify struct {
	WebhookURLs         []string        `name:"webhook-url" help:"Address that is told of changes; more than one may be given." placeholder:"URL"`
	WebhookSecrets      []string        `name:"webhook-secret" help:"Secret that signs notifications (Standard Webhooks): whsec_ and base64. With two, each message has two signatures, for a change of secrets." placeholder:"whsec_…" secret:"value"`
	WebhookLadder       []time.Duration `name:"webhook-ladder" help:"When to try again, counted from the first attempt (default: ${default})." default:"1m,5m,10m,30m,1h,2h,5h,10h" placeholder:"TIME"`
	WebhookTimeout      time.Duration   `name:"webhook-timeout" help:"Time for a receiver to answer." default:"10s"`
	WebhookKeep         time.Duration   `name:"webhook-keep" help:"How long notifications can be asked for." default:"72h"`
	WebhookConcurrency  int             `name:"webhook-concurrency" help:"Notifications that are sent at once, at most half of --worker-concurrency." default:"8"`
	WebhookAllowPrivate bool            `name:"webhook-allow-private" help:"Allow receivers on private, loopback and link-local addresses."`
}

// Sagas says how to ask participants.
type Sagas struct {
	ParticipantSecrets []string      `name:"participant-secret" help:"Secret that signs calls to participants (Standard Webhooks): whsec_ and base64. With two, each call has two signatures, for a change of secrets." placeholder:"whsec_…" secret:"value"`
	ParticipantTimeout time.Duration `name:"participant-timeout" help:"Time for a participant to answer a call." default:"5s"`
	SagaResumeAfter    time.Duration `name:"saga-resume-after" help:"Time after which a step is made again whose process has died." default:"5m"`
	SagaPatience       time.Duration `name:"saga-patience" help:"Time after which a participant that has not answered is taken to have rejected." default:"24h"`
	SagaKeep           time.Duration `name:"saga-keep" help:"How long sagas that have ended can be asked for." default:"72h"`
	SagaAlertURL       string        `name:"saga-alert-url" help:"Address that is told of sagas which are stuck; signed as calls are." placeholder:"URL"`
}

// Worker says how much is done at once.
type Worker struct {
	WorkerConcurrency int `name:"worker-concurrency" help:"Tasks that this process runs at once." default:"16"`

	RevokeRate int           `name:"revoke-rate" help:"Likes a second that this process takes back, or returns, for plusone revoke." default:"2000"`
	RevokeKeep time.Duration `name:"revoke-keep" help:"How long a revocation can be undone and looked at." default:"720h"`
}

// Reconcile says how hard to compare the stores.
type Reconcile struct {
	ReconcileEvery  time.Duration `name:"reconcile-every" help:"Time between looks at what changed recently." default:"10s"`
	ReconcileFull   time.Duration `name:"reconcile-full" help:"Time between complete passes over a shard." default:"5m"`
	ReconcileRate   *int          `name:"reconcile-rate" help:"Pairs of item and user compared per second, in this process (default: what takes 2 % of the time; with --once no bound)." placeholder:"N"`
	ReconcileSettle time.Duration `name:"reconcile-settle" help:"How long Postgres may take to catch up with a shard that is looked at." default:"10s"`
}

// Internal is the internal listener.
type Internal struct {
	InternalListen string `name:"internal-listen" help:"Address of the internal listener: health, metrics, tasks, profiles (default: ${default}). Beyond this machine it needs --internal-token." default:"127.0.0.1:9090" placeholder:"HOST:PORT"`
	InternalToken  Digest `name:"internal-token" help:"SHA-256 of a token without which the internal listener answers nobody: as Bearer, or as the password of Basic." placeholder:"sha256:HEX" secret:"value"`
}
