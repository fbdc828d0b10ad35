// SPDX-License-Identifier: Apache-2.0
#include "openai/request.h"

#include <gtest/gtest.h>

#include <string>

#include "openai/json.h"

namespace aio::openai {
namespace {

// A chat request with `fields` beside the least it needs.
std::string Chat(const std::string& fields) {
  return R"({"model":"auto","messages":[{"role":"user","content":"hi"}])" +
         (fields.empty() ? "" : "," + fields) + "}";
}
std::string Completion(const std::string& fields) {
  return R"({"model":"auto","prompt":"hi")" +
         (fields.empty() ? "" : "," + fields) + "}";
}

Parsed Good(Kind kind, const std::string& body) {
  auto parsed = ParseRequest(kind, body, Limits());
  EXPECT_TRUE(parsed) << body << ": " << (parsed ? "" : parsed.error().message);
  if (!parsed) return Parsed();
  EXPECT_FALSE(parsed->request.foreign) << body;
  return *std::move(parsed);
}
// What a variant of ours answers.
Error Bad(Kind kind, const std::string& body) {
  auto parsed = ParseRequest(kind, body, Limits());
  if (parsed && parsed->request.foreign) return *parsed->request.foreign;
  EXPECT_FALSE(parsed) << body;
  return parsed ? Error{ErrorCode::kInternal, "", "none"} : parsed.error();
}
// The param of the error of a chat request with `fields`.
std::string BadParam(const std::string& fields) {
  return Bad(Kind::kChat, Chat(fields)).param;
}

TEST(RequestTest, TakesOpenAisDefaults) {
  const Parsed parsed = Good(Kind::kChat, Chat(""));
  EXPECT_EQ(parsed.request.model, "auto");
  EXPECT_TRUE(parsed.request.chat);
  ASSERT_EQ(parsed.request.messages.size(), 1u);
  EXPECT_EQ(parsed.request.messages[0].content, "hi");
  EXPECT_FALSE(parsed.request.max_tokens);
  EXPECT_EQ(parsed.request.choices, 1);
  EXPECT_EQ(parsed.request.sampling.temperature, 1);
  EXPECT_EQ(parsed.request.sampling.top_p, 1);
  EXPECT_FALSE(parsed.request.sampling.seed);
  EXPECT_FALSE(parsed.stream);
  EXPECT_EQ(parsed.request.raw_json, Chat(""));
}

TEST(RequestTest, ReadsEveryFieldItCarriesOut) {
  const Parsed parsed = Good(
      Kind::kChat,
      Chat(R"("max_completion_tokens":7,"n":2,"stop":["a","b"],)"
           R"("temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,)"
           R"("repetition_penalty":1.1,"presence_penalty":-1,)"
           R"("frequency_penalty":1,"seed":42,"logprobs":true,)"
           R"("top_logprobs":5,"stream":true,)"
           R"("stream_options":{"include_usage":true},"aio":{"quality":0.9,)"
           R"("intent":"math","variant":"small","speculation":"off",)"
           R"("deterministic":true,"escalate":true})"));
  const core::Request& r = parsed.request;
  EXPECT_EQ(r.max_tokens, 7);
  EXPECT_EQ(r.choices, 2);
  EXPECT_EQ(r.stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_FLOAT_EQ(r.sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(r.sampling.top_p, 0.9f);
  EXPECT_EQ(r.sampling.top_k, 40);
  EXPECT_FLOAT_EQ(r.sampling.min_p, 0.05f);
  EXPECT_FLOAT_EQ(r.sampling.repetition_penalty, 1.1f);
  EXPECT_FLOAT_EQ(r.sampling.presence_penalty, -1);
  EXPECT_FLOAT_EQ(r.sampling.frequency_penalty, 1);
  EXPECT_EQ(r.sampling.seed, 42u);
  EXPECT_TRUE(r.sampling.logprobs);
  EXPECT_EQ(r.sampling.top_logprobs, 5);
  EXPECT_TRUE(parsed.stream);
  EXPECT_TRUE(parsed.include_usage);
  EXPECT_NEAR(*r.hints.quality, 0.9, 1e-6);
  EXPECT_EQ(r.hints.intent, core::Label::kMath);
  EXPECT_EQ(r.hints.variant, "small");
  EXPECT_EQ(r.hints.strategy, core::Strategy::kPlain);
  EXPECT_TRUE(r.hints.deterministic);
  EXPECT_EQ(r.hints.escalate, true);
  EXPECT_TRUE(r.streamed);
}

TEST(RequestTest, TakesNullForAbsent) {
  const Parsed parsed =
      Good(Kind::kChat,
           Chat(R"("max_tokens":null,"n":null,"stop":null,"temperature":null,)"
                R"("seed":null,"tools":null,"response_format":null,)"
                R"("stream":null,"stream_options":null,"aio":null)"));
  EXPECT_FALSE(parsed.request.hints.escalate);
  EXPECT_FALSE(parsed.request.streamed);
  EXPECT_FALSE(parsed.request.max_tokens);
  EXPECT_EQ(parsed.request.choices, 1);
}

TEST(RequestTest, JoinsTextPartsAndMapsDeveloperToSystem) {
  const Parsed parsed = Good(
      Kind::kChat,
      R"({"model":"m","messages":[{"role":"developer","content":"be brief"},)"
      R"({"role":"user","content":[{"type":"text","text":"a"},)"
      R"({"type":"text","text":"b"}]},)"
      R"({"role":"assistant","content":"c","refusal":null,"annotations":[],)"
      R"("reasoning_content":"hm"},{"role":"user","content":"d"}]})");
  ASSERT_EQ(parsed.request.messages.size(), 4u);
  EXPECT_EQ(parsed.request.messages[0].role, core::Role::kSystem);
  EXPECT_EQ(parsed.request.messages[1].content, "a\nb");
  EXPECT_EQ(parsed.request.messages[2].role, core::Role::kAssistant);
}

TEST(RequestTest, ReadsWhetherToThink) {
  using core::Thinking;
  struct Case {
    const char* content;
    const char* fields;
    std::optional<Thinking> thinking;
    bool in_text;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"hi", R"("n":1)", std::nullopt, false},
           {"hi", R"("enable_thinking":true)", Thinking::kOn, false},
           {"hi", R"("enable_thinking":null)", std::nullopt, false},
           {"hi", R"("chat_template_kwargs":{})", std::nullopt, false},
           {"hi", R"("chat_template_kwargs":{"enable_thinking":false})",
            Thinking::kOff, false},
           {"hi",
            R"("enable_thinking":false,)"
            R"("chat_template_kwargs":{"enable_thinking":false})",
            Thinking::kOff, false},
           {"hi /no_think", R"("n":1)", Thinking::kOff, true},
           {"hi\\n/think \\n", R"("n":1)", Thinking::kOn, true},
           {"/auto_think", R"("n":1)", Thinking::kAuto, true},
           {"hi /no_think", R"("enable_thinking":false)", Thinking::kOff,
            false},
           {"see /usr/share/think", R"("n":1)", std::nullopt, false},
           {"/no_think, please", R"("n":1)", std::nullopt, false},
           {"hi /No_Think", R"("n":1)", std::nullopt, false}}) {
    const Parsed parsed = Good(
        Kind::kChat, R"({"model":"m","messages":[{"role":"user","content":")" +
                         std::string(c.content) + "\"}]," + c.fields + "}");
    EXPECT_EQ(parsed.request.thinking, c.thinking) << c.content << c.fields;
    EXPECT_EQ(parsed.request.thinking_in_text, c.in_text) << c.content;
    EXPECT_FALSE(parsed.request.messages[0].content.empty());
  }
}

TEST(RequestTest, OnlyTheUsersLastMessageSaysWhetherToThink) {
  const Parsed parsed = Good(
      Kind::kChat,
      R"({"model":"m","messages":[{"role":"user","content":"a /no_think"},)"
      R"({"role":"assistant","content":"b /think"},)"
      R"({"role":"user","content":"c"},)"
      R"({"role":"assistant","content":"d /think"}]})");
  EXPECT_FALSE(parsed.request.thinking);
}

TEST(RequestTest, RefusesContradictionsAboutThinking) {
  EXPECT_EQ(BadParam(R"("enable_thinking":true,)"
                     R"("chat_template_kwargs":{"enable_thinking":false})"),
            "chat_template_kwargs.enable_thinking");
  EXPECT_EQ(Bad(Kind::kChat, R"({"model":"m","enable_thinking":true,)"
                             R"("messages":[{"role":"user",)"
                             R"("content":"a /no_think"}]})")
                .param,
            "enable_thinking");
}

TEST(RequestTest, NamesTheMessageAndPartAtFault) {
  const auto param = [](const std::string& message) {
    return Bad(Kind::kChat, R"({"model":"m","messages":[{"role":"user",)"
                            R"("content":"a"},)" +
                                message + "]}")
        .param;
  };
  EXPECT_EQ(param("3"), "messages[1]");
  EXPECT_EQ(param(R"({"content":"x"})"), "messages[1].role");
  EXPECT_EQ(param(R"({"role":"robot","content":"x"})"), "messages[1].role");
  EXPECT_EQ(param(R"({"role":"tool","content":"x"})"), "messages[1].role");
  EXPECT_EQ(param(R"({"role":"user"})"), "messages[1].content");
  EXPECT_EQ(param(R"({"role":"user","content":null})"), "messages[1].content");
  EXPECT_EQ(param(R"({"role":"user","content":5})"), "messages[1].content");
  EXPECT_EQ(param(R"({"role":"user","content":[]})"), "messages[1].content");
  EXPECT_EQ(param(R"({"role":"user","content":[{"type":"text","text":"a"},)"
                  R"({"type":"image_url","image_url":{"url":"u"}}]})"),
            "messages[1].content[1]");
  EXPECT_EQ(param(R"({"role":"user","content":[{"type":"text"}]})"),
            "messages[1].content[0].text");
  EXPECT_EQ(param(R"({"role":"user","content":[{"type":"text","text":1}]})"),
            "messages[1].content[0].text");
  EXPECT_EQ(param(R"({"role":"user","content":"a","name":"bob"})"),
            "messages[1].name");
  EXPECT_EQ(param(R"({"role":"assistant","content":"a","tool_calls":[{}]})"),
            "messages[1].tool_calls");
}

TEST(RequestTest, RefusesBodiesThatAreNoRequest) {
  for (const char* body :
       {"", "x", "[]", "null", "3", "{}", "{\"model\":1}", R"({"model":"m"})",
        R"({"model":"m","messages":[]})", R"({"model":"m","messages":{}})",
        R"({"messages":[{"role":"user","content":"a"}]})",
        R"({"model":"","messages":[{"role":"user",)"
        R"("content":"a"}]})"}) {
    EXPECT_EQ(Bad(Kind::kChat, body).code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(Bad(Kind::kChat, R"({"model":"m","messages":[]})").param,
            "messages");
  EXPECT_EQ(Bad(Kind::kChat, R"({"messages":[]})").param, "model");
}

TEST(RequestTest, NamesTheFieldOutsideItsRange) {
  for (const auto& [param, fields] :
       std::initializer_list<std::pair<const char*, const char*>>{
           {"temperature", R"("temperature":2.5)"},
           {"temperature", R"("temperature":"hot")"},
           {"temperature", R"("temperature":-0.1)"},
           {"top_p", R"("top_p":1.5)"},
           {"top_k", R"("top_k":-2)"},
           {"min_p", R"("min_p":2)"},
           {"repetition_penalty", R"("repetition_penalty":0)"},
           {"presence_penalty", R"("presence_penalty":3)"},
           {"frequency_penalty", R"("frequency_penalty":-3)"},
           {"seed", R"("seed":1.5)"},
           {"n", R"("n":0)"},
           {"n", R"("n":1000000)"},
           {"n", R"("n":1.5)"},
           {"max_tokens", R"("max_tokens":0)"},
           {"max_completion_tokens", R"("max_completion_tokens":1e12)"},
           {"max_completion_tokens",
            R"("max_completion_tokens":3,"max_tokens":4)"},
           {"stop", R"("stop":"")"},
           {"stop", R"("stop":[1])"},
           {"stop", R"("stop":{})"},
           {"logprobs", R"("logprobs":3)"},
           {"top_logprobs", R"("logprobs":true,"top_logprobs":21)"},
           {"top_logprobs", R"("top_logprobs":2)"},
           {"stream", R"("stream":"yes")"},
           {"stream_options", R"("stream_options":{"include_usage":true})"},
           {"stream_options.include_usage",
            R"("stream":true,"stream_options":{"include_usage":1})"},
           {"enable_thinking", R"("enable_thinking":"yes")"},
           {"chat_template_kwargs", R"("chat_template_kwargs":true)"},
           {"chat_template_kwargs.enable_thinking",
            R"("chat_template_kwargs":{"enable_thinking":1})"},
           {"chat_template_kwargs.thinking",
            R"("chat_template_kwargs":{"thinking":true})"},
           {"aio", R"("aio":3)"},
           {"aio.quality", R"("aio":{"quality":2})"},
           {"aio.intent", R"("aio":{"intent":"maths"})"},
           {"aio.variant", R"("aio":{"variant":3})"},
           {"aio.speculation", R"("aio":{"speculation":"fast"})"},
           {"aio.speculation", R"("aio":{"speculation":1})"},
           {"aio.deterministic", R"("aio":{"deterministic":"yes"})"},
           {"aio.escalate", R"("aio":{"escalate":"yes"})"},
           {"aio.qualty", R"("aio":{"qualty":1})"}}) {
    EXPECT_EQ(BadParam(fields), param) << fields;
  }
}

TEST(RequestTest, RefusesEachUnsupportedFieldByName) {
  for (const char* field :
       {R"("tools":[{"type":"function"}])", R"("tool_choice":"auto")",
        R"("functions":[{}])", R"("function_call":"auto")",
        R"("response_format":{"type":"json_object"})",
        R"("logit_bias":{"50256":-100})", R"("modalities":["audio"])",
        R"("audio":{"voice":"x"})", R"("prediction":{})",
        R"("reasoning_effort":"low")", R"("verbosity":"low")"}) {
    const Error error = Bad(Kind::kChat, Chat(field));
    EXPECT_EQ(error.code, ErrorCode::kUnsupported) << field;
    EXPECT_EQ(error.param, std::string(field).substr(1, error.param.size()));
  }
  for (const char* field : {R"("best_of":2)", R"("echo":true)",
                            R"("suffix":"x")", R"("logit_bias":{"1":1})"}) {
    EXPECT_EQ(Bad(Kind::kCompletion, Completion(field)).code,
              ErrorCode::kUnsupported)
        << field;
  }
}

TEST(RequestTest, TakesUnsupportedFieldsThatAskForNothing) {
  Good(Kind::kChat,
       Chat(R"("tools":[],"tool_choice":"none","functions":[],)"
            R"("response_format":{"type":"text"},"logit_bias":{},)"
            R"("modalities":["text"],"user":"u","metadata":{"a":"b"},)"
            R"("store":true,"parallel_tool_calls":true)"));
  Good(Kind::kCompletion,
       Completion(R"("best_of":1,"echo":false,"suffix":null)"));
}

// What an upstream may know is passed on to it, with what it must be able to
// do.
TEST(RequestTest, PassesOnWhatOnlyAnUpstreamMayKnow) {
  using core::Feature;
  const auto needs = [](const std::string& body) {
    auto parsed = ParseRequest(Kind::kChat, body, Limits());
    EXPECT_TRUE(parsed) << body;
    if (!parsed) return core::Features{0};
    EXPECT_TRUE(parsed->request.foreign) << body;
    EXPECT_EQ(parsed->request.raw_json, body);
    return parsed->request.needs & ~core::Bit(Feature::kChat);
  };
  EXPECT_EQ(needs(Chat(R"("tools":[{"type":"function"}])")),
            core::Bit(Feature::kTools));
  EXPECT_EQ(needs(Chat(R"("response_format":{"type":"json_object"})")),
            core::Bit(Feature::kStructured));
  EXPECT_EQ(needs(Chat(R"("guided_regex":"a+")")),
            core::Bit(Feature::kStructured));
  EXPECT_EQ(needs(Chat(R"("ignore_eos":true)")), 0u);
  EXPECT_EQ(needs(R"({"model":"m","messages":[{"role":"user","content":[)"
                  R"({"type":"image_url","image_url":{"url":"u"}}]}]})"),
            core::Bit(Feature::kMedia));
}

TEST(RequestTest, ReadsAToolLoop) {
  auto parsed = ParseRequest(
      Kind::kChat,
      R"({"model":"m","messages":[{"role":"user","content":"What time?"},)"
      R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1",)"
      R"("type":"function","function":{"name":"now","arguments":"{}"}}]},)"
      R"({"role":"tool","tool_call_id":"c1","content":"12:00"}]})",
      Limits());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->request.tool_result);
  ASSERT_EQ(parsed->request.messages.size(), 3u);
  EXPECT_EQ(parsed->request.messages[1].content, "");
  EXPECT_EQ(parsed->request.messages[2].role, core::Role::kTool);
  EXPECT_EQ(parsed->request.messages[2].content, "12:00");
  ASSERT_TRUE(parsed->request.foreign);
  EXPECT_EQ(parsed->request.foreign->param, "messages[1].tool_calls");
}

// Wrong is wrong, whoever would answer.
TEST(RequestTest, PassesOnNoFieldOfOursThatIsWrong) {
  for (const char* fields :
       {R"("unheard_of":1,"temperature":9)", R"("temperature":9,"tools":[{}])",
        R"("unheard_of":1,"aio":{"qualty":1})"}) {
    EXPECT_FALSE(ParseRequest(Kind::kChat, Chat(fields), Limits())) << fields;
  }
}

TEST(RequestTest, ReadsOfEmbeddingsWhereTheyGoAndHowLongTheyAre) {
  const auto read = [](const std::string& input) {
    auto parsed = ParseRequest(
        Kind::kEmbeddings,
        R"({"model":"embed","dimensions":64,"input":)" + input + "}", Limits());
    EXPECT_TRUE(parsed) << input;
    return parsed ? parsed->request : core::Request();
  };
  EXPECT_EQ(read(R"("abc")").prompt, "abc");
  EXPECT_EQ(read(R"(["abc","de"])").prompt, "abcde");
  EXPECT_EQ(read("[1,2,3]").prompt_tokens.size(), 3u);
  EXPECT_EQ(read("[[1,2],[3]]").prompt_tokens.size(), 3u);
  EXPECT_EQ(read(R"("abc")").needs, core::Bit(core::Feature::kEmbeddings));
  EXPECT_FALSE(read(R"("abc")").streamed);
  EXPECT_EQ(Bad(Kind::kEmbeddings, R"({"model":"m"})").param, "input");
  EXPECT_EQ(Bad(Kind::kEmbeddings, R"({"model":"m","input":[]})").param,
            "input");
  EXPECT_EQ(Bad(Kind::kEmbeddings, R"({"model":"m","input":[{}]})").param,
            "input");
}

TEST(RequestTest, RefusesUnknownFieldsAndNamesTheNearest) {
  const Error error = Bad(Kind::kChat, Chat(R"("temprature":1)"));
  EXPECT_EQ(error.param, "temprature");
  EXPECT_EQ(error.message,
            "unknown field 'temprature', did you mean 'temperature'?");
}

TEST(RequestTest, BoundsStopSequencesAndMessages) {
  Limits limits;
  limits.stop_max = 2;
  limits.messages_max = 1;
  EXPECT_TRUE(ParseRequest(Kind::kChat, Chat(R"("stop":["a","b"])"), limits));
  EXPECT_EQ(ParseRequest(Kind::kChat, Chat(R"("stop":["a","b","c"])"), limits)
                .error()
                .param,
            "stop");
  EXPECT_EQ(
      ParseRequest(Kind::kChat,
                   R"({"model":"m","messages":[{"role":"user","content":"a"},)"
                   R"({"role":"user","content":"b"}]})",
                   limits)
          .error()
          .param,
      "messages");
  EXPECT_EQ(BadParam("\"stop\":\"" + std::string(2000, 'x') + "\""), "stop");
}

TEST(RequestTest, ReadsPromptsAsTextOrTokens) {
  const auto prompt = [](const std::string& value) {
    return Good(Kind::kCompletion, R"({"model":"m","prompt":)" + value + "}")
        .request;
  };
  EXPECT_EQ(prompt(R"("a")").prompt, "a");
  EXPECT_EQ(prompt(R"(["a"])").prompt, "a");
  EXPECT_EQ(prompt(R"([1,2,3])").prompt_tokens,
            (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(prompt(R"([[1,2]])").prompt_tokens, (std::vector<int32_t>{1, 2}));
  EXPECT_FALSE(prompt(R"("a")").chat);
  for (const char* value :
       {R"(["a","b"])", "[[1],[2]]", "[]", "[[]]", "{}", "[-1]", "[1.5]",
        "[1,\"a\"]", "[4294967296]", "3", "[[[1]]]", "[null]"}) {
    EXPECT_EQ(Bad(Kind::kCompletion,
                  R"({"model":"m","prompt":)" + std::string(value) + "}")
                  .param,
              "prompt")
        << value;
  }
}

TEST(RequestTest, ReadsTheLogprobsCountOfCompletions) {
  const auto parsed = Good(Kind::kCompletion, Completion(R"("logprobs":0)"));
  EXPECT_TRUE(parsed.request.sampling.logprobs);
  EXPECT_EQ(parsed.request.sampling.top_logprobs, 0);
  EXPECT_FALSE(
      Good(Kind::kCompletion, Completion("")).request.sampling.logprobs);
  EXPECT_EQ(Bad(Kind::kCompletion, Completion(R"("logprobs":true)")).param,
            "logprobs");
}

TEST(RequestTest, KeepsAllBitsOfASeed) {
  EXPECT_EQ(Good(Kind::kChat, Chat(R"("seed":18446744073709551615)"))
                .request.sampling.seed,
            UINT64_MAX);
  EXPECT_EQ(Good(Kind::kChat, Chat(R"("seed":-1)")).request.sampling.seed,
            UINT64_MAX);
}

TEST(RequestTest, RoutesEitherBodyAndNeedsNoModel) {
  const Parsed chat =
      Good(Kind::kRoute, R"({"messages":[{"role":"user","content":"hi"}]})");
  EXPECT_TRUE(chat.request.chat);
  EXPECT_EQ(chat.request.model, "auto");
  EXPECT_FALSE(Good(Kind::kRoute, R"({"prompt":"hi"})").request.chat);
  EXPECT_EQ(Bad(Kind::kRoute, "{}").param, "prompt");
}

TEST(RequestTest, RefusesInvalidUtf8) {
  const Error error = Bad(Kind::kChat, Chat("\"user\":\"\xC0\xAF\""));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(error.message.find("UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace aio::openai
