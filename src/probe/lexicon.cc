// SPDX-License-Identifier: Apache-2.0
#include "probe/lexicon.h"

#include <array>
#include <string>
#include <unordered_map>

namespace aio::probe {
namespace {

struct Entry {
  Cue cue;
  // Separated by commas, which no cue holds.
  std::string_view words;
};

constexpr std::array<Entry, 20> kLexicon = {{
    {Cue::kProgram,
     "python,javascript,typescript,java,rust,golang,kotlin,swift,php,ruby,perl,"
     "scala,haskell,lua,matlab,bash,powershell,shell,sql,mysql,postgres,"
     "postgresql,sqlite,mongodb,redis,html,css,react,angular,vue,svelte,node,"
     "nodejs,npm,django,flask,fastapi,spring,laravel,flutter,android,ios,unity,"
     "godot,arduino,docker,kubernetes,ansible,terraform,git,github,linux,"
     "ubuntu,nginx,aws,azure,api,json,xml,yaml,regex,code,coding,program,"
     "programming,script,function,class,method,algorithm,compile,compiler,"
     "debug,bug,exception,stacktrace,async,thread,pointer,array,arrays,string,"
     "strings,dataframe,pandas,numpy,pytorch,torch,tensorflow,opencv,cuda,gpu,"
     "app,website,webpage,backend,frontend,database,server,http,https,url,"
     "implement,implementation,refactor,plugin,library,framework,repository,"
     "software,developer,import,def,return,const,var,void,int,print,println,"
     "async,await,struct,enum,lambda,boolean,integer,tuple,dict,dictionary,"
     "linked list,binary tree,hash map,data structure,source code,command line,"
     "unit test,web page,excel,vba,spreadsheet,formula,macro,spark,kafka,"
     "microservice,config,yaml,verilog,vhdl,assembly,opengl,shader,blender"},
    {Cue::kProgram,
     "代码,编程,程序,函数,脚本,算法,数组,字符串,变量,接口,数据库,网站,网页,"
     "前端,后端,调试,报错,编译,实现一个,列表,开发,软件,服务器,爬虫,正则,"
     "コード,プログラム,関数,코드,프로그램,함수,код,коде,функция,функцию,"
     "скрипт,программу,программа,código,función,programa,fonction,"
     "programme,funktion,programm"},
    {Cue::kQuantity,
     "solve,calculate,compute,evaluate,simplify,prove,proof,equation,equations,"
     "integral,derivative,differentiate,integrate,matrix,vector,polynomial,"
     "probability,percent,percentage,sum,product,difference,ratio,average,mean,"
     "median,remainder,divisible,prime,integer,integers,fraction,square,root,"
     "triangle,circle,radius,area,perimeter,volume,angle,degrees,theorem,lemma,"
     "logarithm,sqrt,frac,sin,cos,tan,graph,variance,deviation,distribution,"
     "random variable,how many,how much,how far,how long,total,twice,half,"
     "times,dollars,cost,costs,price,speed,per hour,miles,km,interest,profit,"
     "coordinates,parallel,perpendicular,inequality,sequence,series,"
     "permutations,combinations,arithmetic,geometric,algebra,geometry,"
     "calculus,estimate,approximate,maximum,minimum,value of,expected value,"
     "find the,what fraction,math,mathematical,modulo,divisor,digit,digits"},
    {Cue::kQuantity,
     "计算,求解,求证,证明,方程,函数值,积分,导数,概率,百分,平均,多少,几个,"
     "一共,面积,周长,体积,半径,直径,三角形,圆,正方形,长方形,厘米,千米,米,"
     "元,千克,公斤,倍,分数,整数,质数,余数,数列,向量,矩阵,集合,最大值,"
     "最小值,取值范围,已知,设,若,则,解,角,直线,坐标,双曲线,椭圆,抛物线,"
     "計算,確率,계산,확률,вычисли,вычислить,сколько,реши,решить,найти,найди,"
     "докажи,уравнение,вероятность,calcular,ecuación,cuántos,combien,calculer,"
     "équation,berechne,gleichung"},
    {Cue::kQuestion,
     "what,who,when,where,which,why,how,whose,whom,is,are,does,did,do,was,were,"
     "explain,describe,compare,discuss,what is,who is,what are,who was,"
     "which of,tell me,define,meaning,difference between,the following,"
     "best describes,according to,true or,correct,except,most likely"},
    {Cue::kQuestion,
     "什么,谁,何时,哪里,哪个,哪些,为什么,为何,如何,怎么,怎样,是否,吗,呢,"
     "解释,说明,介绍,描述,比较,下列,正确,错误,不正确,属于,主要,反映,"
     "表明,原因,何ですか,なぜ,무엇,왜,어떻게,что,кто,почему,когда,где,какой,"
     "какая,как,объясни,qué,quién,por qué,cómo,quoi,qui,pourquoi,comment,wer,"
     "warum,wie,was ist"},
    {Cue::kAdvice,
     "i feel,i am,my girlfriend,my boyfriend,my wife,my husband,my friend,"
     "my boss,my life,should i,can i,help me,advice,suggestions,suggestion,"
     "recommend,recommendation,tips,improve my,increase my,thank you,thanks,"
     "hello,hi,hey,your opinion,your favorite,do you,are you,would you,"
     "you think"},
    {Cue::kAdvice,
     "我该,我应该,我的,我想,我怎样,建议,推荐,你好,谢谢,您好,你觉得,你认为,"
     "你会,您会,聊聊,帮我,安慰,привет,посоветуй,hola,gracias,bonjour,merci,"
     "hallo,danke"},
    {Cue::kPersona,
     "act as,acting as,pretend,roleplay,role,persona,impersonate,embody,"
     "imagine you,imagine yourself,you are,you will,your role,play the,"
     "as if,character,characters,my first,first request,first question,"
     "first sentence,i want,want you,reply as,respond as,speak like,"
     "talk like,in character,stay in,suppose you,assume the,take on,"
     "simulate,interviewer,therapist,coach,captain,knight,superhero,persona of,"
     "as a,conversation,conversations,chat history"},
    {Cue::kPersona,
     "扮演,充当,担任,假装,假设你,想象你,角色,我要你,我希望你,我想让你,"
     "你将,作为一,作为中,你是一,身份,第一个请求,第一句,我的第一,对话,"
     "口吻,ロールプレイ,になりきって,역할,сыграй,представь,"
     "притворись,actúa como,fais comme"},
    {Cue::kSummarize,
     "summarize,summarise,summary,summaries,summarization,tldr,tl dr,"
     "condense,abridge,shorten,recap,brief overview,main points,key points,"
     "key takeaways,main idea,gist,in short,one sentence,single sentence,"
     "boil down,in brief,abstract,synopsis,digest,outline of"},
    {Cue::kSummarize,
     "总结,概括,摘要,归纳,概述,提炼,要点,缩写,一句话,大意,主旨,中心思想,"
     "要約,まとめて,요약,резюме,кратко,перескажи,обобщи,resumir,resume,resumen,"
     "résume,résumer,résumé,zusammenfassen,zusammenfassung,fasse"},
    {Cue::kExtract,
     "extract,extracted,extraction,identify,identify all,pick out,list all,"
     "find all,named entities,entities,entity,classify,categorize,label,labels,"
     "key details,details about,information about,pull out,retrieve,parse,"
     "fill in,table,csv,in json,json format,as json,following text,"
     "following passage,following paragraph,following sentence,"
     "following article,the paragraph,the passage,given text,rate the,"
     "sentiment,positive,negative,keywords,key words,phrases,mentioned,"
     "phone numbers,email addresses,dates,names of,occurrences,annotate"},
    {Cue::kExtract,
     "提取,抽取,识别,找出,列出,分类,标注,实体,关键词,格式,表格,以下文本,"
     "下列文本,下面的文,以下段落,段落中,文中,情感,正面,负面,人名,地名,日期,"
     "出现次数,提及,抽出,추출,извлеки,выдели,найди все,extraer,extrae,"
     "extraire,extrais,extrahiere"},
    {Cue::kTranslate,
     "translate,translated,translation,translator,english,chinese,german,"
     "french,spanish,italian,russian,japanese,korean,arabic,portuguese,hindi,"
     "dutch,turkish,vietnamese,thai,latin,mandarin,cantonese,into english,"
     "to english,into chinese,to chinese,how do you say,in english,in french,"
     "in spanish,in german,in chinese,in japanese"},
    {Cue::kTranslate,
     "翻译,译成,译为,英文,英语,中文,汉语,日语,日文,法语,德语,俄语,西班牙语,"
     "韩语,文言文,白话,翻訳,訳して,英語,日本語,번역,영어,한국어,переведи,"
     "перевод,английский,русский,traducir,traduce,traduzca,traduire,"
     "traduis,übersetze,übersetzen"},
    {Cue::kFiction,
     "poem,poems,poetry,haiku,sonnet,limerick,verse,rhyme,story,stories,tale,"
     "novel,fiction,fanfic,fanfiction,scene,chapter,plot,protagonist,lyrics,"
     "song,rap,screenplay,dialogue,monologue,joke,jokes,comedy,"
     "slogan,tagline,advertisement,advert,blog,blog post,essay,article,email,"
     "letter,speech,toast,invitation,review,product description,headline,"
     "title,caption,tweet,press release,cover letter,announcement,post,"
     "creative,fantasy,sci fi,horror,romance,narrative,narrator,worldbuilding,"
     "dragon,kingdom,wizard,alternate history,fictional,crossover,episode"},
    {Cue::kFiction,
     "诗,诗歌,古诗,作文,故事,小说,散文,歌词,剧本,童话,文案,广告,海报,标语,"
     "口号,邮件,书信,信,演讲,稿,文章,博客,推文,标题,情节,主角,章节,扩写,"
     "续写,改写,润色,创作,对联,祝福,物語,小説,詩,歌詞,소설,시,노래,가사,"
     "이야기,стих,стихотворение,рассказ,история,историю,сказка,песня,поэма,"
     "poema,cuento,historia,canción,poème,conte,histoire,chanson,gedicht,"
     "geschichte,lied"},
    {Cue::kCompose,
     "write,compose,draft,create,generate,make,design,rewrite,edit,craft,"
     "produce,come up,make up,continue,brainstorm,give me,write a,write me,"
     "invent,develop,build,fix,convert,add,modify,optimize,"
     "improve"},
    {Cue::kCompose,
     "写,写一,请写,撰写,编写,写出,生成,设计,创建,制作,修改,帮我写,给我写,"
     "书いて,書いて,作って,써줘,작성,напиши,составь,придумай,создай,"
     "сгенерируй,escribe,crea,écris,rédige,schreibe,erstelle"},
}};

std::unordered_map<std::string_view, uint32_t> MakeTable() {
  std::unordered_map<std::string_view, uint32_t> table;
  for (const Entry& entry : kLexicon) {
    std::string_view rest = entry.words;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      table[rest.substr(0, comma)] |= 1u << static_cast<int>(entry.cue);
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return table;
}

}  // namespace

uint32_t CuesOf(std::string_view words) {
  static const std::unordered_map<std::string_view, uint32_t> kTable =
      MakeTable();
  const auto it = kTable.find(words);
  return it == kTable.end() ? 0 : it->second;
}

}  // namespace aio::probe
