package baseline

import (
	"context"
	"net/http"

	"github.com/valyala/fasthttp/fasthttpadaptor"

	"plusone/tasks/barrier"
	"plusone/tasks/barrier/example"
)

// ParticipantSecret signs the calls of plusone to the participants.
const ParticipantSecret = "whsec_dGhlIGJlbmNoIGFuZCBwbHVzb25lIGtub3cgaXQ="

// Participants are the paths of the services that participants serves, in the order
// in which plusone is to ask them.
var Participants = []string{"articles", "points", "fraud"}

// participants are the services of package example on the stores of the stage, and
// one without books. Each agrees to every like.
func participants(ctx context.Context, _ Options, s *server) error {
	verifier, err := barrier.NewVerifier(ParticipantSecret)
	if err != nil {
		return err
	}
	articles, err := example.NewArticles(ctx, s.pool)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for path, do := range map[string]barrier.Do{"articles": articles.Do, "points": example.NewPoints(s.rdb).Do, "fraud": agree} {
		mux.Handle("/"+path, barrier.Handler(verifier, opTime, do))
	}
	s.serve = fasthttpadaptor.NewFastHTTPHandler(mux)
	return nil
}

func agree(_ context.Context, _ barrier.Step, ops []barrier.Op) ([]barrier.Answer, error) {
	answers := make([]barrier.Answer, len(ops))
	for i, op := range ops {
		answers[i] = op.Done()
	}
	return answers, nil
}
