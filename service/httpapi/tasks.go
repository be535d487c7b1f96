package httpapi

import (
	"cmp"
	"net/http"
	"time"

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
	return []operation{
		serves(operation{method: http.MethodGet, path: tasksPath, status: http.StatusOK}, (*Server).listTasks),
		serves(operation{method: http.MethodPost, path: tasksPath, status: http.StatusCreated}, (*Server).createTask),
		serves(operation{method: http.MethodGet, path: taskPath, status: http.StatusOK}, (*Server).getTask),
		serves(operation{method: http.MethodPut, path: taskPath, status: http.StatusOK}, (*Server).replaceTask),
		serves(operation{method: http.MethodDelete, path: taskPath, status: http.StatusNoContent}, (*Server).deleteTask),
	}
}

// taskJSON is a task as clients see it.
type taskJSON struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Completed bool      `json:"completed"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func toJSON(t task.Task) taskJSON {
	return taskJSON{t.ID.String(), t.Title, t.Completed, t.CreatedAt, t.UpdatedAt}
}

type listInput struct {
	Limit     pageSize `query:"limit"`
	After     cursor   `query:"after"`
	Completed choice   `query:"completed"`
}

func (s *Server) listTasks(c *fiber.Ctx, in listInput) ([]taskJSON, error) {
	limit := cmp.Or(int(in.Limit), defaultLimit)
	// One more than the page holds tells whether there is a next one.
	tasks, err := s.cfg.Tasks.List(c.UserContext(), task.Filter{Limit: limit + 1, After: in.After.after, Completed: in.Completed.made})
	if err != nil {
		return nil, err
	}
	if len(tasks) > limit {
		tasks = tasks[:limit]
		c.Set(fiber.HeaderLink, nextPage(c, tasks[limit-1].ID))
	}
	answer := make([]taskJSON, len(tasks))
	for i, t := range tasks {
		answer[i] = toJSON(t)
	}
	return answer, nil
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
	Body newTask `body:"application/json"`
}

// newTask is what a client says about a task that it makes.
type newTask struct {
	Title     string `json:"title"`
	Completed bool   `json:"completed,omitempty"`
}

func (s *Server) createTask(c *fiber.Ctx, in createInput) (taskJSON, error) {
	made, err := s.cfg.Tasks.Create(c.UserContext(), task.Draft(in.Body))
	if err != nil {
		return taskJSON{}, err
	}
	c.Location(tasksPath + "/" + made.ID.String())
	return toJSON(made), nil
}

type getInput struct {
	ID taskID `path:"id"`
}

func (s *Server) getTask(c *fiber.Ctx, in getInput) (taskJSON, error) {
	found, err := s.cfg.Tasks.Get(c.UserContext(), in.ID.ID)
	return toJSON(found), err
}

type replaceInput struct {
	ID   taskID  `path:"id"`
	Body allTask `body:"application/json"`
}

// allTask is everything that a client can say about a task.
type allTask struct {
	Title     string `json:"title"`
	Completed bool   `json:"completed"`
}

func (s *Server) replaceTask(c *fiber.Ctx, in replaceInput) (taskJSON, error) {
	replaced, err := s.cfg.Tasks.Replace(c.UserContext(), in.ID.ID, task.Draft(in.Body))
	return toJSON(replaced), err
}

type deleteInput struct {
	ID taskID `path:"id"`
}

func (s *Server) deleteTask(c *fiber.Ctx, in deleteInput) (nothing, error) {
	return nothing{}, s.cfg.Tasks.Delete(c.UserContext(), in.ID.ID)
}
