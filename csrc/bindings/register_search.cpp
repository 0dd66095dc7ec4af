// Polishing, the search for all solutions, and paths of solutions.
#include <memory>

#include "bindings/support/nouns.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

std::unique_ptr<Search> make_search(const std::shared_ptr<Problem>& problem,
                                    const std::shared_ptr<Anchors>& anchors, py::handle options) {
  if (!problem->function) throw py::value_error("this problem's function runs in Python only");
  if (anchors->n_inputs() != problem->n_inputs() || anchors->n_outputs() != problem->n_outputs()) {
    throw py::value_error("anchors must have the inputs and outputs of the problem");
  }
  return std::make_unique<Search>(problem, anchors, options_of(options));
}

void require_starts(std::int64_t n_starts) {
  if (n_starts < 1) {
    throw py::value_error("n_starts must be at least 1, got " + std::to_string(n_starts));
  }
}

void polish(const Search& self, py::handle given, const py::array& x, const py::array& fx,
            const py::array& residual, const py::array& n_evaluations, const py::array& end,
            int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  const std::int64_t n = goal.view.n;
  const PolishedArrays arrays{out_matrix<double>(x, "x", n, self.n_inputs()).data,
                              out_matrix<double>(fx, "fx", n, self.n_outputs()).data,
                              out_vector<double>(residual, "residual", n).data,
                              out_vector<std::int64_t>(n_evaluations, "n_evaluations", n).data,
                              out_vector<std::int8_t>(end, "end", n).data};
  checked_threads(n_threads);
  const LongCall call;
  self.polish(goal.view, arrays, n_threads);
}

void jacobians(const Search& self, const py::array& x, const py::array& out) {
  const auto points = in_matrix<double>(x, "x", self.n_inputs());
  double* const jac =
      block<double>(out, "out", points.rows, self.n_outputs(), self.n_inputs(), true);
  const LongCall call;
  self.jacobians(points.data, points.rows, jac);
}

void solve_all(const Search& self, py::handle given, std::int64_t n_starts, const py::array& x,
               const py::array& residual, const py::array& anchor, const py::array& status,
               const py::array& count, const py::array& search, int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  detail::require(residual.ndim() == 2 && residual.shape(1) >= 1, "residual",
                  "2-dimensional with at least one column");
  require_starts(n_starts);
  const Ranked out =
      ranked_of(x, residual, anchor, status, goal.view.n, residual.shape(1), self.n_inputs());
  const AllArrays all{out, out_vector<std::int64_t>(count, "count", goal.view.n).data,
                      out_vector<std::int8_t>(search, "search", goal.view.n).data};
  checked_threads(n_threads);
  const LongCall call(given);
  self.solve_all(goal.view, n_starts, all, n_threads);
}

void assess(const Search& self, py::handle given, const py::array& x, const py::array& x_error,
            const py::array& isolated, int n_threads) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  const std::int64_t n = goal.view.n;
  const auto points = in_matrix<double>(x, "x", self.n_inputs());
  if (points.rows != n) throw py::value_error("x must have one row per target");
  const AssessedArrays arrays{points.data, out_vector<double>(x_error, "x_error", n).data,
                              out_vector<std::uint8_t>(isolated, "isolated", n).data};
  checked_threads(n_threads);
  const LongCall call;
  self.assess(goal.view, arrays, n_threads);
}

void solve_path(const Search& self, py::handle given, const py::array& start, std::int64_t n_starts,
                const py::array& x, const py::array& residual, const py::array& status,
                const py::array& jumped) {
  const GoalArrays goal(given, self.n_inputs(), self.n_outputs());
  require_starts(n_starts);
  const std::int64_t n = goal.view.n;
  const PathArrays arrays{in_vector<double>(start, "start", self.n_inputs()).data,
                          out_matrix<double>(x, "x", n, self.n_inputs()).data,
                          out_vector<double>(residual, "residual", n).data,
                          out_vector<std::int8_t>(status, "status", n).data,
                          out_vector<std::uint8_t>(jumped, "jumped", n).data};
  const LongCall call(given);
  self.solve_path(goal.view, n_starts, arrays);
}

}  // namespace

void register_search(py::module_& m) {
  py::class_<Search>(m, "Search")
      .def(py::init(&make_search), py::arg("problem"), py::arg("anchors"), py::arg("options"))
      .def("polish", &polish, py::arg("goal"), py::arg("x"), py::arg("fx"), py::arg("residual"),
           py::arg("n_evaluations"), py::arg("end"), py::arg("n_threads"))
      .def("jacobians", &jacobians, py::arg("x"), py::arg("out"))
      .def("solve_all", &solve_all, py::arg("goal"), py::arg("n_starts"), py::arg("x"),
           py::arg("residual"), py::arg("anchor"), py::arg("status"), py::arg("count"),
           py::arg("search"), py::arg("n_threads"))
      .def("assess", &assess, py::arg("goal"), py::arg("x"), py::arg("x_error"),
           py::arg("isolated"), py::arg("n_threads"))
      .def("solve_path", &solve_path, py::arg("goal"), py::arg("start"), py::arg("n_starts"),
           py::arg("x"), py::arg("residual"), py::arg("status"), py::arg("jumped"));
}

}  // namespace fastinv
