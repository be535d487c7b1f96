package image

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLifecycleKeepsTheNewest(t *testing.T) {
	document, err := keepNewest(7)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	err = json.Unmarshal([]byte(document), &got)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"rules": []any{map[string]any{
		"rulePriority": 1.0,
		"description":  "keep the 7 newest images",
		"selection":    map[string]any{"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 7.0},
		"action":       map[string]any{"type": "expire"},
	}}}
	if diff := cmp.Diff(got, any(want)); diff != "" {
		t.Errorf("policy (-got +want):\n%s", diff)
	}
}
