package demo

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/valyala/fasthttp"
)

// answerTime bounds one request, and one look at the stores.
const answerTime = 5 * time.Second

// door is the API as a server with a key uses it.
type door struct {
	client *fasthttp.Client
	api    string
	key    string
}

// like likes an item in the name of a user, or takes that back.
func (d door) like(item, user string, liked bool) error {
	method := fasthttp.MethodPut
	if !liked {
		method = fasthttp.MethodDelete
	}
	return d.ask(method, "/v1/items/"+item+"/like", user, nil)
}

// reading is what the API says of an item.
type reading struct {
	Item   string `json:"item"`
	Count  int64  `json:"count"`
	Source string `json:"source"`
}

// counts reads items, in their order. With a user's name the API does not answer from
// what it has read for others.
func (d door) counts(items []string) ([]reading, error) {
	var got struct {
		Items []reading `json:"items"`
	}
	err := d.ask(fasthttp.MethodGet, "/v1/items?"+url.Values{"id": items}.Encode(), "demo", &got)
	if err == nil && len(got.Items) != len(items) {
		err = fmt.Errorf("%d readings of %d items", len(got.Items), len(items))
	}
	return got.Items, err
}

// ask sends one request in the name of a user and reads the answer into to, if that
// is not nil.
func (d door) ask(method, path, user string, to any) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	req.Header.SetMethod(method)
	req.SetRequestURI(d.api + path)
	req.Header.Set("Authorization", "Bearer "+d.key)
	req.Header.Set("X-User-ID", user)
	if err := d.client.DoTimeout(req, res, answerTime); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode() != fasthttp.StatusOK {
		return fmt.Errorf("%s %s: status %d", method, path, res.StatusCode())
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(res.Body(), to)
}
