# Resolves every #include of our own sources and compares it with the table of allowed arrows.
# cmake -DROOT=<source folder> -P check_includes.cmake
cmake_minimum_required(VERSION 3.24)
include(${ROOT}/cmake/arrows.cmake)

set(modules)
foreach(line ${LUNA_ARROWS})
  string(REGEX MATCH "^([^:]+):(.*)$" _ "${line}")
  set(module ${CMAKE_MATCH_1})
  string(STRIP "${CMAKE_MATCH_2}" reach)
  string(REPLACE " " ";" reach "${reach}")
  list(APPEND modules ${module})
  set(reach_${module} ${module} common/base ${reach})
endforeach()

# What third parties a room must not know: "folder prefix|forbidden include".
set(forbidden
  "common|^(grpc|google/protobuf|ATen|torch|c10|cuda)"
  "daemon/ipc|^(grpc|google/protobuf|ATen|torch|c10|cuda)"
  "daemon/front|^(ATen|torch|c10|cuda)"
  "daemon/front/core|^(grpc|google/protobuf|boost/asio)"
  "daemon/front/dispatch|^(grpc|google/protobuf)"
  "daemon/front/supervisor|^(grpc|google/protobuf)"
  "daemon/worker|^(grpc|google/protobuf)"
  "daemon/worker/formats|^(ATen|torch|c10)"
  "daemon/worker/tokenizers|^(ATen|torch|c10)"
  "daemon/worker/engine|^boost/asio"
  "daemon/worker/models|^boost/asio"
  "client|^(ATen|torch|c10|cuda)"
  "client/include|^(grpc|google/protobuf)"
  "client/pipeline|^(grpc|google/protobuf)"
  "client/cli|^(grpc|google/protobuf)")
# The one place of an exemption, with its reason: wire translates protobuf, which is not gRPC.
set(exempt "common/wire")

function(complain text)
  message(SEND_ERROR "${text}")
endfunction()

file(GLOB_RECURSE files RELATIVE ${ROOT}
  ${ROOT}/common/*.h ${ROOT}/common/*.cpp ${ROOT}/daemon/*.h ${ROOT}/daemon/*.cpp ${ROOT}/daemon/*.cu
  ${ROOT}/client/*.h ${ROOT}/client/*.cpp)
list(LENGTH files count)
set(includes 0)
foreach(file ${files})
  get_filename_component(folder ${file} DIRECTORY)
  # The room is the nearest folder with a line in the table.
  set(module ${folder})
  while(NOT module IN_LIST modules)
    get_filename_component(module "${module}" DIRECTORY)
    if(module STREQUAL "")
      break()
    endif()
  endwhile()
  if(module STREQUAL "")
    complain("${file}: its folder has no line in cmake/arrows.cmake")
    continue()
  endif()
  file(STRINGS ${ROOT}/${file} lines REGEX "^[ \t]*#[ \t]*include")
  foreach(line ${lines})
    math(EXPR includes "${includes} + 1")
    if(line MATCHES "include[ \t]*\"([^\"]+)\"")
      set(target ${CMAKE_MATCH_1})
      if(target MATCHES "^luna/v1/.*\\.grpc\\.pb\\.h$")
        set(to proto/luna/v1/services)
      elseif(target MATCHES "^luna/v1/")
        set(to proto/luna/v1)
      else()
        get_filename_component(to ${target} DIRECTORY)
        while(NOT to IN_LIST modules)
          get_filename_component(to "${to}" DIRECTORY)
          if(to STREQUAL "")
            break()
          endif()
        endwhile()
      endif()
      if(to STREQUAL "" OR NOT to IN_LIST reach_${module})
        complain("${file} includes \"${target}\": ${module} -> ${to} is not an allowed arrow")
      endif()
    elseif(line MATCHES "include[ \t]*<([^>]+)>")
      set(target ${CMAKE_MATCH_1})
      foreach(rule ${forbidden})
        string(REGEX MATCH "^([^|]+)\\|(.*)$" _ "${rule}")
        set(prefix ${CMAKE_MATCH_1})
        set(pattern ${CMAKE_MATCH_2})
        if(module MATCHES "^${prefix}(/|$)" AND target MATCHES "${pattern}" AND NOT module IN_LIST exempt
           AND NOT file MATCHES "^daemon/worker/cuda/module/")
          complain("${file} includes <${target}>: ${prefix} must not know it")
        endif()
      endforeach()
    endif()
  endforeach()
endforeach()
message(STATUS "${count} files, ${includes} includes checked against ${ROOT}/cmake/arrows.cmake")
if(count LESS 1)
  message(FATAL_ERROR "only ${count} files found below ${ROOT}: the check looked in the wrong place")
endif()
