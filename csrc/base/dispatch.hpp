// Chooses the instruction set at run time.
#pragma once

#include <string>
#include <vector>

#include "kernels/kernels.hpp"

namespace fastinv {

// Instruction sets that were compiled in and that this CPU has, the best one last.
std::vector<std::string> available_isas();

// FASTINV_ISA where it is set, else the best. Throws std::invalid_argument for a name that is
// unknown or that this CPU does not have.
std::string default_isa();

// The kernels of `isa`, of default_isa() where it is empty. Throws as default_isa does.
template <class T>
const Kernels<T>& kernels(const std::string& isa);

}  // namespace fastinv
