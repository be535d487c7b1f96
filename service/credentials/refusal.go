package credentials

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxMessage is how many bytes of AWS's message are kept.
const maxMessage = 300

// refusal is an answer other than 200.
type refusal struct {
	status  int
	code    string // AWS's, such as AccessDeniedException; empty when the answer has none
	message string // AWS's
}

// newRefusal reads what AWS says, in the JSON of Secrets Manager or that of the
// container's endpoint. Of any other body it keeps nothing.
func newRefusal(res *http.Response, body []byte) *refusal {
	var said struct {
		Type    string `json:"__type"`
		Code    string
		Message string
	}
	if json.Unmarshal(body, &said) != nil {
		said.Type, said.Code, said.Message = "", "", ""
	}
	// The code may stand between a namespace and a URL:
	// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization
	code := cmp.Or(res.Header.Get("X-Amzn-Errortype"), said.Type, said.Code)
	code, _, _ = strings.Cut(code[strings.LastIndexByte(code, '#')+1:], ":")
	return &refusal{status: res.StatusCode, code: code, message: said.Message[:min(len(said.Message), maxMessage)]}
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("answered %d %s", r.status, cmp.Or(r.code, http.StatusText(r.status)))
	if r.message != "" {
		text += ": " + r.message
	}
	if hint := r.hint(); hint != "" {
		text += " (" + hint + ")"
	}
	return text
}

// passing says whether the same request may succeed in a moment.
func (r *refusal) passing() bool {
	return r.status >= http.StatusInternalServerError || r.status == http.StatusTooManyRequests ||
		slices.Contains([]string{"ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}, r.code)
}

// aboutIdentity says whether the keys that signed are not accepted, or no longer.
func (r *refusal) aboutIdentity() bool {
	return slices.Contains([]string{
		"ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
	}, r.code)
}

// hint says what to do about the refusals that somebody has to act on:
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
func (r *refusal) hint() string {
	switch {
	case r.code == "AccessDeniedException":
		return "the service's role must be allowed secretsmanager:GetSecretValue on this secret, and kms:Decrypt when its key is a customer's"
	case r.code == "ResourceNotFoundException":
		return "is that its name or ARN, does it have a value, is it in this region?"
	case r.code == "DecryptionFailure":
		return "the service's role must be allowed kms:Decrypt with the secret's key, which must be enabled"
	case r.code == "InvalidRequestException":
		return "is the secret scheduled for deletion?"
	case r.aboutIdentity():
		return "are these AWS credentials still valid, and is the clock right?"
	}
	return ""
}
