package cloud

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/deploy/cloud/cloudtest"
)

func TestTaggedAreReadToTheLastPage(t *testing.T) {
	account := open(t, cloudtest.AWS{"GetResources": func(body string) (int, string) {
		switch {
		case !strings.Contains(body, `{"Key":"stack","Values":["dev"]}`):
			return http.StatusBadRequest, `{"__type":"InvalidParameterException","message":"another filter"}`
		case strings.Contains(body, "second"):
			return http.StatusOK, `{"ResourceTagMappingList":[{"ResourceARN":"arn:b"}],"PaginationToken":""}`
		}
		return http.StatusOK, `{"ResourceTagMappingList":[{"ResourceARN":"arn:a"}],"PaginationToken":"second"}`
	}})
	got, err := account.Tagged(t.Context(), map[string]string{"stack": "dev"})
	if diff := cmp.Diff([]string{"arn:a", "arn:b"}, got); err != nil || diff != "" {
		t.Errorf("%v; (-want +got):\n%s", err, diff)
	}
	if _, err := account.Tagged(t.Context(), map[string]string{"stack": "prod"}); err == nil || !strings.Contains(err.Error(), "another filter") {
		t.Errorf("got %v", err)
	}
}
