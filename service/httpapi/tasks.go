package httpapi

import (
	"cmp"
	"crypto/sha256"
	"net/http"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
)

const (
	tasksPath    = "/api/v1/tasks"
	taskPath     = tasksPath + "/{id}"
	defaultLimit = 100
	maxLimit     = 500
	paramAfter   = "after"
)

// taskOperations is the API.
func taskOperations() []operation {
	const (
		invalid     = http.StatusBadRequest
		missing     = http.StatusNotFound
		accept      = http.StatusNotAcceptable
		changed     = http.StatusPreconditionFailed
		large       = http.StatusRequestEntityTooLarge
		media       = http.StatusUnsupportedMediaType
		otherBody   = http.StatusUnprocessableEntity
		unavailable = http.StatusServiceUnavailable
	)
	return []operation{
		serves(operation{
			method: http.MethodGet, path: tasksPath, id: "listTasks", status: http.StatusOK,
			summary: "List tasks, newest first", headers: []string{fiber.HeaderLink},
			problems: []int{invalid, accept, unavailable},
		}, (*Server).listTasks),
		serves(operation{
			method: http.MethodPost, path: tasksPath, id: "createTask", status: http.StatusCreated,
			summary: "Make a task", headers: []string{fiber.HeaderLocation, fiber.HeaderETag},
			examples: []example{{"open", `{"title":"buy milk"}`}, {"done", `{"title":"buy milk","completed":true}`}},
			problems: []int{invalid, accept, large, media, otherBody, unavailable},
		}, (*Server).createTask),
		serves(operation{
			method: http.MethodGet, path: taskPath, id: "getTask", status: http.StatusOK,
			summary: "Read a task", headers: []string{fiber.HeaderETag}, also: []int{http.StatusNotModified},
			problems: []int{invalid, missing, accept, unavailable},
		}, (*Server).getTask),
		serves(operation{
			method: http.MethodPut, path: taskPath, id: "replaceTask", status: http.StatusOK,
			summary: "Write all of a task", headers: []string{fiber.HeaderETag},
			examples: []example{{"done", `{"title":"buy oat milk","completed":true}`}},
			problems: []int{invalid, missing, accept, changed, large, media, unavailable},
		}, (*Server).replaceTask),
		serves(operation{
			method: http.MethodPatch, path: taskPath, id: "patchTask", status: http.StatusOK,
			summary: "Write some of a task", headers: []string{fiber.HeaderETag},
			text:     "A JSON merge patch, RFC 7396. Nothing of a task can be removed, so null is refused.",
			examples: []example{{"completed", `{"completed":true}`}, {"title", `{"title":"buy oat milk"}`}, {"nothing", `{}`}},
			problems: []int{invalid, missing, accept, changed, large, media, unavailable},
		}, (*Server).patchTask),
		serves(operation{
			method: http.MethodDelete, path: taskPath, id: "deleteTask", status: http.StatusNoContent,
			summary: "Remove a task", problems: []int{invalid, missing, accept, changed, unavailable},
		}, (*Server).deleteTask),
	}
}

type listInput struct {
	Limit     pageSize `query:"limit" doc:"How many tasks a page has at most"`
	After     cursor   `query:"after" doc:"Where the page begins: from the header Link of the page before"`
	Completed choice   `query:"completed" doc:"Only tasks that are, or are not, completed"`
}

func (s *Server) listTasks(c *fiber.Ctx, in listInput) (pageText, error) {
	limit := cmp.Or(int(in.Limit), defaultLimit)
	// One more than the page holds tells whether there is a next one.
	filter := task.Filter{Limit: limit + 1, After: in.After.after, Completed: in.Completed.made}
	return s.connections.page(c, filter.Limit, func() (pageText, error) {
		tasks, err := s.cfg.Tasks.List(c.UserContext(), filter)
		if err != nil {
			return nil, err
		}
		if len(tasks) > limit {
			tasks = tasks[:limit]
			c.Set(fiber.HeaderLink, nextPage(c, tasks[limit-1].ID))
		}
		return s.pages.text(tasks), nil
	})
}

// nextPage links to the same list behind the last task, whatever else its query says.
func nextPage(c *fiber.Ctx, last task.ID) string {
	query := fasthttp.AcquireArgs()
	defer fasthttp.ReleaseArgs(query)
	c.Context().QueryArgs().CopyTo(query)
	query.Set(paramAfter, cursorAfter(last))
	return "<" + tasksPath + "?" + query.String() + `>; rel="next"`
}

type createInput struct {
	Key  idempotencyKey `header:"Idempotency-Key" doc:"A string in double quotes, made up for this task. A repeat within 24 hours gives the same answer and makes no other task"`
	Body newTask        `body:"application/json"`
}

// newTask is what a client says about a task that it makes.
type newTask struct {
	Title     string `json:"title" minLength:"1" maxLength:"500" doc:"Without control characters; white space around it is dropped"`
	Completed bool   `json:"completed,omitempty"`
}

func (s *Server) createTask(c *fiber.Ctx, in createInput) (taskJSON, error) {
	var once task.Once
	if in.Key != "" {
		once = task.Once{Key: string(in.Key), Fingerprint: sha256.Sum256(c.BodyRaw())}
	}
	made, err := s.cfg.Tasks.Create(c.UserContext(), task.Draft(in.Body), once)
	if err != nil {
		return taskJSON{}, err
	}
	location, _ := made.ID.AppendText(append(make([]byte, 0, 64), tasksPath+"/"...)) // never fails
	set(c, fiber.HeaderLocation, location)
	setTag(c, made)
	return taskJSON(made), nil
}

type getInput struct {
	ID          taskID     `path:"id" doc:"The id of the task"`
	IfNoneMatch entityTags `header:"If-None-Match" doc:"Answer 304 if the task has one of these versions"`
}

func (s *Server) getTask(c *fiber.Ctx, in getInput) (taskJSON, error) {
	found, err := s.cfg.Tasks.Get(c.UserContext(), in.ID.ID)
	if err != nil {
		return taskJSON{}, err
	}
	setTag(c, found)
	set(c, fiber.HeaderCacheControl, []byte("no-cache")) // keep it, and ask with its tag whether it is still so
	if in.IfNoneMatch.given && in.IfNoneMatch.include(found.Version()) {
		c.Status(http.StatusNotModified)
	}
	return taskJSON(found), nil
}

type replaceInput struct {
	ID      taskID     `path:"id" doc:"The id of the task"`
	IfMatch entityTags `header:"If-Match" doc:"Write only if the task has one of these versions"`
	Body    allTask    `body:"application/json"`
}

// allTask is everything that a client can say about a task.
type allTask struct {
	Title     string `json:"title" minLength:"1" maxLength:"500" doc:"Without control characters; white space around it is dropped"`
	Completed bool   `json:"completed"`
}

func (s *Server) replaceTask(c *fiber.Ctx, in replaceInput) (taskJSON, error) {
	return s.update(c, in.ID, task.Patch{Title: &in.Body.Title, Completed: &in.Body.Completed}, in.IfMatch)
}

type patchInput struct {
	ID      taskID     `path:"id" doc:"The id of the task"`
	IfMatch entityTags `header:"If-Match" doc:"Write only if the task has one of these versions"`
	Body    taskPatch  `body:"application/merge-patch+json,application/json"`
}

// taskPatch is a JSON merge patch, RFC 7396.
type taskPatch struct {
	Title     *string `json:"title,omitempty" minLength:"1" maxLength:"500" doc:"Without control characters; white space around it is dropped"`
	Completed *bool   `json:"completed,omitempty"`
}

func (s *Server) patchTask(c *fiber.Ctx, in patchInput) (taskJSON, error) {
	return s.update(c, in.ID, task.Patch(in.Body), in.IfMatch)
}

func (s *Server) update(c *fiber.Ctx, id taskID, p task.Patch, ifMatch entityTags) (taskJSON, error) {
	updated, err := s.cfg.Tasks.Update(c.UserContext(), id.ID, p, ifMatch.versions())
	if err != nil {
		return taskJSON{}, err
	}
	setTag(c, updated)
	return taskJSON(updated), nil
}

type deleteInput struct {
	ID      taskID     `path:"id" doc:"The id of the task"`
	IfMatch entityTags `header:"If-Match" doc:"Write only if the task has one of these versions"`
}

func (s *Server) deleteTask(c *fiber.Ctx, in deleteInput) (nothing, error) {
	return nothing{}, s.cfg.Tasks.Delete(c.UserContext(), in.ID.ID, in.IfMatch.versions())
}

func setTag(c *fiber.Ctx, t task.Task) {
	tag := append(append(make([]byte, 0, 64), '"'), t.Version()...)
	set(c, fiber.HeaderETag, append(tag, '"'))
}
