package load

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// The ids have a fixed width, so that a request is made once and only digits are
// written into it.
const (
	itemDigits = 7
	userDigits = 12
	uuidLen    = 36

	// firstNumber has all its digits, so that users are numbers to Redis, too.
	firstNumber = 100_000_000_000
)

// Item is the id of item n.
func Item(n int) string { return fmt.Sprintf("item-%0*d", itemDigits, n) }

// User is the id of user n.
func User(n uint64, uuid bool) string {
	if uuid {
		b := make([]byte, uuidLen)
		putUUID(b, n)
		return string(b)
	}
	return strconv.FormatUint(firstNumber+n, 10)
}

// template is a request with gaps for ids.
type template struct {
	bytes        []byte
	items, users []int // where they go
}

// Stand-ins for ids while a template is written.
const (
	itemMark = "\x01"
	userMark = "\x02"
)

func newTemplate(p Plan) template {
	const host = " HTTP/1.1\r\nHost: plusone\r\n"
	switch p.Kind {
	case Get:
		return cut("GET /v1/items/"+itemMark+host+"\r\n", p.UUIDs)
	case Mine:
		return cut("GET /v1/items/"+itemMark+host+"X-User-ID: "+userMark+"\r\n\r\n", p.UUIDs)
	case Many:
		ids := strings.TrimSuffix(strings.Repeat("id="+itemMark+"&", p.Ops), "&")
		return cut("GET /v1/items?"+ids+host+"X-User-ID: "+userMark+"\r\n\r\n", p.UUIDs)
	case Bulk:
		op := `{"item":"` + itemMark + `","user":"` + userMark + `","liked":true}`
		body := `{"ops":[` + strings.TrimSuffix(strings.Repeat(op+",", p.Ops), ",") + `]}`
		n := len(cut(body, p.UUIDs).bytes)
		return cut(fmt.Sprintf("POST /v1/likes%sAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			host, p.Key, n, body), p.UUIDs)
	default:
		return cut("PUT /v1/items/"+itemMark+"/like"+host+"X-User-ID: "+userMark+"\r\n\r\n", p.UUIDs)
	}
}

// cut replaces the marks of a text by ids and remembers where they are.
func cut(text string, uuids bool) (t template) {
	for i := range len(text) {
		switch text[i : i+1] {
		case itemMark:
			t.items = append(t.items, len(t.bytes)+len("item-"))
			t.bytes = append(t.bytes, Item(0)...)
		case userMark:
			t.users = append(t.users, len(t.bytes))
			t.bytes = append(t.bytes, User(0, uuids)...)
		default:
			t.bytes = append(t.bytes, text[i])
		}
	}
	return t
}

// fill writes the next ids into b, which has the template's bytes.
func (t *template) fill(b []byte, d *draw) {
	for _, at := range t.items {
		copy(b[at:at+itemDigits], d.item())
	}
	for _, at := range t.users {
		if d.uuids {
			putUUID(b[at:], d.user)
		} else {
			putDigits(b[at:at+userDigits], firstNumber+d.user)
		}
		d.user += d.stride
	}
}

// draw chooses items and counts users.
type draw struct {
	names  []byte // digits of items, drawn beforehand
	next   int
	user   uint64
	stride uint64 // threads take turns with users
	uuids  bool
}

// drawn is how many items are drawn beforehand; they come round again.
const drawn = 1 << 17

func newDraw(p Plan, thread int) *draw {
	d := &draw{user: p.FirstUser + uint64(thread), stride: uint64(p.Threads), uuids: p.UUIDs}
	d.names = make([]byte, drawn*itemDigits)
	next := Items(p.Items, p.Spread, p.Seed+uint64(thread))
	for i := range drawn {
		putDigits(d.names[i*itemDigits:(i+1)*itemDigits], uint64(next()))
	}
	return d
}

// item is the digits of the next item.
func (d *draw) item() []byte {
	i := d.next * itemDigits
	d.next = (d.next + 1) % drawn
	return d.names[i : i+itemDigits]
}

// Items draws numbers below n.
func Items(n int, s Spread, seed uint64) func() int {
	random := rand.New(rand.NewPCG(seed, 1))
	if s == Uniform {
		return func() int { return random.IntN(n) }
	}
	most := math.Log(float64(n) + 1)
	return func() int { return min(n, int(math.Exp(random.Float64()*most))) - 1 }
}

// putDigits writes n with leading zeros.
func putDigits(b []byte, n uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = '0' + byte(n%10)
		n /= 10
	}
}

// putUUID writes a UUID that looks random and is another one for each n.
func putUUID(b []byte, n uint64) {
	var raw [16]byte
	x := n * 0x9e3779b97f4a7c15 // odd: no two n share an x
	x ^= x >> 32
	binary.BigEndian.PutUint64(raw[:], x)
	binary.BigEndian.PutUint64(raw[8:], x*0xbf58476d1ce4e5b9)
	raw[6], raw[8] = raw[6]&15|0x40, raw[8]&63|0x80
	for i, part := range [][2]int{{0, 4}, {4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		at := 2*part[0] + i
		hex.Encode(b[at:], raw[part[0]:part[1]])
		if i < 4 {
			b[at+2*(part[1]-part[0])] = '-'
		}
	}
}
